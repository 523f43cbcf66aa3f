// What the cache buys: scores and held-out loss after training against the bytes that a token takes in the
// cache, a point per arm and sweep point with its 95 % interval.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cache_panels.h"
#include "final_values.h"
#include "scores.h"

namespace attnlab {
namespace {

// The cache has the number format in which the forward pass computes.
double bytes_per_number(const RunRecord& run) {
  return config_text(run, "train.precision") == "float32" ? 4 : 2;
}

std::string dtype_note(const RunSet& runs) {
  std::set<std::string> notes;
  for (const RunRecord& run : runs.records) {
    const std::string precision = config_text(run, "train.precision");
    notes.insert(precision.empty() ? "2 bytes a number" : precision == "float32" ? "float32" : "bfloat16");
  }
  return fmt::format("cache in {}", fmt::join(notes, ", "));
}

double bytes_of(const RunCell& cell) {
  const RunRecord& run = *cell.runs.front();
  return bytes_per_number(run) * static_cast<double>(run.header.cached_numbers_per_token);
}

const RunCell& cell_at(const RunSet& runs, size_t arm, size_t point) {
  return *std::find_if(runs.cells.begin(), runs.cells.end(),
                       [&](const RunCell& cell) { return cell.arm == arm && cell.point == point; });
}

// The answers, or else a panel per task.
std::vector<CachePanel> score_panels(const RunSet& runs, const std::vector<ArmScore>& scores) {
  std::vector<CachePanel> panels;
  for (const ArmScore& score : scores) {
    if (score.protocol.empty() != scores.front().protocol.empty()) break;
    add_score(panels, score_name(score, scores), score, bytes_of(cell_at(runs, score.arm, score.point)));
  }
  return panels;
}

std::vector<CachePanel> panels_of(const RunSet& runs, const std::vector<ArmScore>& scores) {
  std::vector<CachePanel> panels = score_panels(runs, scores);
  CachePanel loss{
      .measure = "held-out loss", .y_label = "loss (nats/token)", .points = {}, .lower_is_better = true};
  for (const RunCell& cell : runs.cells) {
    const Interval value = final_loss(cell);
    if (std::isnan(value.value)) continue;
    loss.points.push_back({.arm = cell.arm,
                           .point = cell.point,
                           .seeds = std::ssize(cell.runs),
                           .bytes = bytes_of(cell),
                           .value = value});
  }
  if (!loss.points.empty()) panels.push_back(std::move(loss));
  return panels;
}

std::string caption_of(const RunSet& runs, const std::vector<ArmScore>& scores) {
  std::vector<const RunCell*> cells;
  for (const RunCell& cell : runs.cells) cells.push_back(&cell);
  // The answers stand for the tasks, whose protocols are then not shown.
  const std::string note = scores.empty() || scores.front().protocol.empty() ? "" : protocol_note(scores);
  return fmt::format("{}; bars: 95 % intervals; {}{}{}", count_seeds(cells), dtype_note(runs),
                     note.empty() ? "" : "; ", note);
}

std::string csv_of(const RunSet& runs, const std::vector<CachePanel>& panels) {
  std::string csv = "measure,arm,sweep_point,seeds,problems,cached_bytes_per_token,value,low,high\n";
  for (const CachePanel& panel : panels)
    for (const CachePoint& point : panel.points)
      csv += fmt::format("{},{},{},{},{},{},{}\n", csv_text(panel.measure), csv_text(runs.arms[point.arm]),
                         csv_text(runs.points[point.point]), point.seeds, point.problems, point.bytes,
                         csv_fields(point.value));
  return csv;
}

// Whether an arm has several sweep points at one size, where they would share a marker.
bool points_coincide(const std::vector<CachePanel>& panels) {
  for (const CachePanel& panel : panels) {
    std::set<std::pair<size_t, double>> seen;
    for (const CachePoint& point : panel.points)
      if (!seen.insert({point.arm, point.bytes}).second) return true;
  }
  return false;
}

std::vector<CachePanel> at_point(std::vector<CachePanel> panels, size_t point) {
  for (CachePanel& panel : panels)
    std::erase_if(panel.points, [&](const CachePoint& other) { return other.point != point; });
  std::erase_if(panels, [](const CachePanel& panel) { return panel.points.empty(); });
  return panels;
}

}  // namespace

Figure accuracy_cache(const RunSet& runs) {
  const std::vector<ArmScore> scores = scores_of(runs);
  const std::vector<CachePanel> panels = panels_of(runs, first_protocols(scores)),
                                all = panels_of(runs, scores);
  if (panels.empty()) return {.drawings = {}, .missing = "no run has an accuracy, a task or a held-out loss"};
  Figure made;
  if (!points_coincide(panels)) {
    made.drawings.push_back(
        draw_cache_panels(runs, panels, title_of("Scores and loss by cache", runs), caption_of(runs, scores)));
    made.drawings.back().name = file_name("accuracy_cache", runs);
    made.drawings.back().csv = csv_of(runs, all);
    return made;
  }
  for (size_t point = 0; point < runs.points.size(); ++point) {
    const auto shown = at_point(panels, point);
    if (shown.empty()) continue;
    made.drawings.push_back(draw_cache_panels(
        runs, shown, title_of("Scores and loss by cache", runs, runs.points[point]), caption_of(runs, scores)));
    made.drawings.back().name = file_name("accuracy_cache", runs, point);
    made.drawings.back().csv = csv_of(runs, at_point(all, point));
  }
  return made;
}

}  // namespace attnlab
