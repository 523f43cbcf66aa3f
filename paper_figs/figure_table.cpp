#include "figure_table.h"

#include <array>
#include <iterator>

namespace attnlab {
namespace {

constexpr const char* quickstart = "build/bin/run_ablation --config experiments/quickstart/exp.yaml";

constexpr const char* rate_sweep =
    "build/bin/run_ablation --config experiments/quickstart/exp.yaml --set "
    "'train.lr={sweep: [3e-5, 1e-4, 3e-4], seeds: [100, 101]}'";

constexpr std::array<FigureRow, 8> rows{{
    {"training_loss", training_loss, quickstart},
    {"heldout_loss", heldout_loss, quickstart},
    {"accuracy", accuracy, quickstart},
    {"tasks", tasks, quickstart},
    {"ablation", ablation, quickstart},
    {"accuracy_cache", accuracy_cache, quickstart},
    {"loss_flops", loss_flops, quickstart},
    {"learning_rate", learning_rate, rate_sweep},
}};

void add(Figure& all, Figure&& more) {
  all.drawings.insert(all.drawings.end(), std::make_move_iterator(more.drawings.begin()),
                      std::make_move_iterator(more.drawings.end()));
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
  if (figure.drawings.empty()) figure.missing += std::string("; made by: ") + row.needs;
  return figure;
}

}  // namespace attnlab
