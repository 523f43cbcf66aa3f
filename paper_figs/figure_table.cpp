#include "figure_table.h"

#include <array>
#include <iterator>

#include "measured.h"
#include "tables.h"

namespace attnlab {
namespace {

// The smallest experiment that makes each figure's data.
constexpr const char* instruction =
    "build/bin/run_ablation --config experiments/instruction/exp.yaml --set size=small";
constexpr const char* identity_ablation =
    "build/bin/run_ablation --config experiments/identity_ablation/exp.yaml --set size=small";
constexpr const char* cache = "build/bin/run_ablation --config experiments/cache/exp.yaml --set size=small";
constexpr const char* measure_conversion =
    "build/bin/measure_conversion --model data/base_small --calibration FILE --out results/base.measured.h5";
constexpr const char* bench_decode =
    "build/bin/bench_decode --form gqa --shape small --out results/decode.measured.h5, and the other forms";
constexpr const char* measure_caches =
    "experiments/cache_methods/run.sh --size small --out results/cache_methods";
constexpr const char* fit_teacher = "build/bin/fit_teacher --out results/fit.measured.h5";

constexpr const char* recovery_runs =
    "build/bin/run_ablation --config experiments/quickstart/exp.yaml --set eval.before=true --set "
    "eval.every=10";
constexpr const char* ladder_runs =
    "build/bin/run_ablation --config experiments/quickstart/exp.yaml --set 'sweep={train.steps: [25, 50, "
    "100]}'";

constexpr auto rows = std::to_array<FigureRow>({
    {"training_loss", training_loss, instruction},
    {"heldout_loss", heldout_loss, instruction},
    {"accuracy", accuracy, instruction},
    {"tasks", tasks, instruction},
    {"ablation", ablation, identity_ablation},
    {"accuracy_cache", accuracy_cache, cache},
    {"kept_bytes", kept_bytes, cache},
    {"loss_flops", loss_flops, instruction},
    {"learning_rate", learning_rate, instruction},
    {"recovery", recovery, recovery_runs},
    {"ladder", ladder, ladder_runs},
    {"gram", gram, measure_conversion},
    {"key_norms", key_norms, measure_conversion},
    {"rope_removal", rope_removal, measure_conversion},
    {"kv_balance", kv_balance, measure_conversion},
    {"rank_perplexity", rank_perplexity, measure_conversion},
    {"decode_speedup", decode_speedup, bench_decode},
    {"expressiveness", expressiveness, fit_teacher},
    {"cache_methods", cache_methods, measure_caches},
    {"table_1", table_1, instruction},
    {"table_3", table_3, instruction},
    {"table_4", table_4, bench_decode},
    {"table_5", table_5, instruction},
    {"table_conversion", table_conversion, measure_conversion},
});

void add(Figure& all, Figure&& more) {
  all.drawings.insert(all.drawings.end(), std::make_move_iterator(more.drawings.begin()),
                      std::make_move_iterator(more.drawings.end()));
  all.tables.insert(all.tables.end(), std::make_move_iterator(more.tables.begin()),
                    std::make_move_iterator(more.tables.end()));
  if (all.missing.empty()) all.missing = more.missing;
}

}  // namespace

std::span<const FigureRow> figure_table() { return rows; }

std::vector<std::string> figure_names() {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

Figure draw_figure(const FigureRow& row, const FigureInputs& inputs) {
  Figure figure;
  if (const auto* of_measurements = std::get_if<Figure (*)(const Measurements&)>(&row.draw)) {
    figure = (*of_measurements)(inputs.measured);
  } else if (const auto* of_all = std::get_if<Figure (*)(const std::vector<RunSet>&)>(&row.draw)) {
    figure = (*of_all)(inputs.experiments);
  } else {
    const auto of_runs = std::get<Figure (*)(const RunSet&)>(row.draw);
    for (const RunSet& runs : inputs.experiments) add(figure, of_runs(runs));
    if (inputs.experiments.empty()) figure.missing = "no runs";
  }
  if (figure.empty()) figure.missing += std::string("; made by: ") + row.needs;
  return figure;
}

}  // namespace attnlab
