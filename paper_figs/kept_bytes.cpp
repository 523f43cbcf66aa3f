// What is reached for what is kept: held-out loss after training against the bytes that a sequence of 1K, 8K
// and 64K tokens keeps, and tasks against those of 1K, states of fixed size and caches side by side, a point
// per arm with its 95 % interval.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "cache_panels.h"
#include "final_values.h"
#include "scores.h"

namespace attnlab {
namespace {

constexpr int64_t contexts[] = {1024, 8192, 65536};
constexpr double megabyte = 1e6;

// A run tells the bytes at one length. Where nothing is dropped, what grows does so with the numbers per token,
// and the rest is fixed; nullopt where that does not hold (a policy, a storage, a window).
std::optional<double> bytes_at(const RunRecord& run, int64_t context) {
  const RunHeader& header = run.header;
  const auto is = [&](const char* key, const char* value) {
    const std::string text = config_text(run, key);
    return text.empty() || text == value;
  };
  if (!header.cache_bytes || !header.cache_context || !is("eval.cache.policy", "all") ||
      !is("eval.cache.storage", "dense"))
    return std::nullopt;
  const double number = config_text(run, "train.precision") == "float32" ? 4 : 2;
  const double each = number * static_cast<double>(header.cached_numbers_per_token);
  const double fixed = *header.cache_bytes - each * static_cast<double>(*header.cache_context);
  if (fixed < 0) return std::nullopt;
  return fixed + each * static_cast<double>(context);
}

CachePanel panel_of(const RunSet& runs, size_t point, int64_t context) {
  CachePanel panel{.measure = fmt::format("{}K tokens", context / 1024),
                   .y_label = "loss (nats/token)",
                   .points = {},
                   .lower_is_better = true};
  for (const RunCell* cell : runs.cells_at(point)) {
    const Interval value = final_loss(*cell);
    const auto bytes = bytes_at(*cell->runs.front(), context);
    if (std::isnan(value.value) || !bytes) continue;
    panel.points.push_back({.arm = cell->arm,
                            .point = point,
                            .seeds = std::ssize(cell->runs),
                            .bytes = *bytes / megabyte,
                            .value = value});
  }
  return panel;
}

std::string kept_csv(const RunSet& runs, const std::vector<CachePanel>& panels) {
  std::string csv = "context,arm,seeds,kept_megabytes,heldout_loss,low,high\n";
  for (size_t i = 0; i < panels.size(); ++i)
    for (const CachePoint& point : panels[i].points)
      csv += fmt::format("{},{},{},{},{}\n", contexts[i], csv_text(runs.arms[point.arm]), point.seeds,
                         point.bytes, csv_fields(point.value));
  return csv;
}

// Of each task what is solved at the shortest length.
std::vector<CachePanel> task_panels(const RunSet& runs, size_t point, const std::vector<ArmScore>& scores) {
  const auto cells = runs.cells_at(point);
  std::vector<CachePanel> panels;
  for (const ArmScore& score : scores) {
    if (score.point != point || score.protocol.empty()) continue;
    const auto cell =
        std::find_if(cells.begin(), cells.end(), [&](const RunCell* other) { return other->arm == score.arm; });
    const auto bytes = cell == cells.end() ? std::nullopt : bytes_at(*(*cell)->runs.front(), contexts[0]);
    if (bytes) add_score(panels, score_name(score, scores), score, *bytes / megabyte);
  }
  return panels;
}

std::string tasks_csv(const RunSet& runs, const std::vector<CachePanel>& panels) {
  std::string csv = "task,arm,seeds,problems,kept_megabytes,solved,low,high\n";
  for (const CachePanel& panel : panels)
    for (const CachePoint& point : panel.points)
      csv += fmt::format("{},{},{},{},{},{}\n", csv_text(panel.measure), csv_text(runs.arms[point.arm]),
                         point.seeds, point.problems, point.bytes, csv_fields(point.value));
  return csv;
}

Drawing tasks_drawing(const RunSet& runs, size_t point, const std::vector<CachePanel>& panels) {
  Drawing drawing =
      draw_cache_panels(runs, panels, title_of("Tasks by what is kept of 1K tokens", runs, runs.points[point]),
                        count_seeds(runs.cells_at(point)) + "; 95 % intervals", "megabytes kept of a sequence");
  drawing.name = file_name("kept_bytes_tasks", runs, point);
  drawing.csv = tasks_csv(runs, panels);
  return drawing;
}

}  // namespace

Figure kept_bytes(const RunSet& runs) {
  Figure figure{.missing = "no run tells a held-out loss and the bytes that it keeps of all tokens"};
  const std::vector<ArmScore> scores = first_protocols(scores_of(runs));
  for (size_t point = 0; point < runs.points.size(); ++point) {
    std::vector<CachePanel> panels;
    for (const int64_t context : contexts) panels.push_back(panel_of(runs, point, context));
    if (panels.front().points.empty()) continue;
    Drawing& drawing = figure.drawings.emplace_back(draw_cache_panels(
        runs, panels, title_of("Held-out loss by what is kept", runs, runs.points[point]),
        count_seeds(runs.cells_at(point)) + "; 95 % intervals", "megabytes kept of a sequence"));
    drawing.name = file_name("kept_bytes", runs, point);
    drawing.csv = kept_csv(runs, panels);
    const auto tasks = task_panels(runs, point, scores);
    if (!tasks.empty()) figure.drawings.push_back(tasks_drawing(runs, point, tasks));
  }
  return figure;
}

}  // namespace attnlab
