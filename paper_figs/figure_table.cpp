#include "figure_table.h"

#include <array>
#include <iterator>

#include "measured.h"
#include "tables.h"

namespace attnlab {
namespace {

constexpr const char* quickstart = "build/bin/run_ablation --config experiments/quickstart/exp.yaml";

constexpr const char* rate_sweep =
    "build/bin/run_ablation --config experiments/quickstart/exp.yaml --set "
    "'train.lr={sweep: [3e-5, 1e-4, 3e-4], seeds: [100, 101]}'";

constexpr const char* measure_conversion =
    "build/bin/measure_conversion --model DIR --calibration FILE --out NAME.measured.h5";
constexpr const char* bench_decode = "build/bin/bench_decode --out NAME.measured.h5";
constexpr const char* fit_teacher = "build/bin/fit_teacher --out NAME.measured.h5";

constexpr auto rows = std::to_array<FigureRow>({
    {"training_loss", training_loss, quickstart},
    {"heldout_loss", heldout_loss, quickstart},
    {"accuracy", accuracy, quickstart},
    {"tasks", tasks, quickstart},
    {"ablation", ablation, quickstart},
    {"accuracy_cache", accuracy_cache, quickstart},
    {"loss_flops", loss_flops, quickstart},
    {"learning_rate", learning_rate, rate_sweep},
    {"gram", gram, measure_conversion},
    {"key_norms", key_norms, measure_conversion},
    {"rope_removal", rope_removal, measure_conversion},
    {"kv_balance", kv_balance, measure_conversion},
    {"rank_perplexity", rank_perplexity, measure_conversion},
    {"decode_speedup", decode_speedup, bench_decode},
    {"expressiveness", expressiveness, fit_teacher},
    {"table_1", table_1, quickstart},
    {"table_3", table_3, quickstart},
    {"table_4", table_4, bench_decode},
    {"table_5", table_5, quickstart},
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
  } else {
    const auto of_runs = std::get<Figure (*)(const RunSet&)>(row.draw);
    for (const RunSet& runs : inputs.experiments) add(figure, of_runs(runs));
    if (inputs.experiments.empty()) figure.missing = "no runs";
  }
  if (figure.empty()) figure.missing += std::string("; made by: ") + row.needs;
  return figure;
}

}  // namespace attnlab
