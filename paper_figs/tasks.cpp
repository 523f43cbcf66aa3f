// Tasks after training, maths and code side by side: per task a group of bars, one per arm, with 95 %
// intervals. The answers to the problems of the runs' own data stand first. One drawing per sweep point.
#include <fmt/format.h>

#include <algorithm>

#include "bar_chart.h"
#include "final_values.h"
#include "scores.h"

namespace attnlab {
namespace {

using Scores = std::vector<Score>;

bool is_task(const Score& score) { return !score.protocol.empty(); }

Scores scores_at(const Scores& all, size_t point) {
  Scores found;
  std::copy_if(all.begin(), all.end(), std::back_inserter(found),
               [&](const Score& score) { return score.point == point; });
  return found;
}

std::string group_name(const Score& score, const Scores& all) {
  std::string name = score_name(score, all);
  if (const size_t comma = name.find(", "); comma != std::string::npos) name.replace(comma, 2, "\n");
  return name + fmt::format("\n{} problems", score.problems);
}

BarChart chart_of(const RunSet& runs, const Scores& scores) {
  BarChart chart{.arms = runs.arms};
  size_t lines = 1;
  for (const Score& score : scores) {
    const std::string name = group_name(score, scores);
    const auto found = std::find(chart.groups.begin(), chart.groups.end(), name);
    const auto group = static_cast<size_t>(found - chart.groups.begin());
    if (found == chart.groups.end()) chart.groups.push_back(name);
    lines = std::max(lines, static_cast<size_t>(std::count(name.begin(), name.end(), '\n')) + 1);
    chart.bars.push_back({.arm = score.arm, .group = group, .after = score.value});
  }
  chart.axis_in = 0.12 + 0.13 * static_cast<double>(lines);
  return chart;
}

std::string caption_of(const RunSet& runs, size_t point, const Scores& scores) {
  const bool several =
      std::any_of(scores.begin(), scores.end(), [](const Score& score) { return score.seeds > 1; });
  const bool answers = !is_task(scores.front());
  std::string caption = count_seeds(runs.cells_at(point)) + "; 95 % interval over ";
  if (!several) return caption + "problems";
  if (!answers) return caption + "seeds and problems";
  return caption + fmt::format("seeds and problems ({}: over seeds)", score_name(scores.front(), scores));
}

std::string csv_of(const RunSet& runs, const Scores& scores) {
  std::string csv =
      "task,protocol,arm,sweep_point,seeds,problems,percent,low,high,difference,difference_low,"
      "difference_high\n";
  for (const Score& score : scores)
    csv += fmt::format("{},{},{},{},{},{},{},{}\n", csv_text(score.task), csv_text(score.protocol),
                       csv_text(runs.arms[score.arm]), csv_text(runs.points[score.point]), score.seeds,
                       score.problems, csv_fields(score.value), csv_fields(score.difference));
  return csv;
}

}  // namespace

Figure tasks(const RunSet& runs) {
  const Scores all = scores_of(runs);
  Figure made;
  for (size_t point = 0; point < runs.points.size(); ++point) {
    const Scores scores = scores_at(all, point);
    if (std::none_of(scores.begin(), scores.end(), is_task)) continue;
    made.drawings.push_back(draw_bars(chart_of(runs, scores), file_name("tasks", runs, point),
                                      title_of("Tasks", runs, runs.points[point]),
                                      caption_of(runs, point, scores)));
    made.drawings.back().csv = csv_of(runs, scores);
  }
  if (made.drawings.empty()) made.missing = "no run has an evaluation of tasks";
  return made;
}

}  // namespace attnlab
