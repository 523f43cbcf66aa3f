// Tasks after training, maths and code side by side: per task a group of bars, one per arm, with 95 %
// intervals. The answers to the problems of the runs' own data stand first. One drawing per sweep point.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "bar_chart.h"
#include "final_values.h"
#include "scores.h"
#include "style.h"

namespace attnlab {
namespace {

using TaskScores = std::vector<ArmScore>;

bool is_task(const ArmScore& score) { return !score.protocol.empty(); }

TaskScores scores_at(const TaskScores& all, size_t point) {
  TaskScores found;
  std::copy_if(all.begin(), all.end(), std::back_inserter(found),
               [&](const ArmScore& score) { return score.point == point; });
  return found;
}

// In lines that are no longer than what `groups` names side by side have room for.
std::string group_name(const ArmScore& score, const TaskScores& all, size_t groups) {
  const size_t most = 52 / std::max<size_t>(1, groups);
  std::vector<std::string> lines = style::broken(score_name(score, all), most);
  for (const std::string& line : style::broken(fmt::format("{} problems", score.problems), most))
    lines.push_back(line);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

size_t count_tasks(const TaskScores& scores) {
  std::set<std::pair<std::string, bool>> tasks;
  for (const ArmScore& score : scores) tasks.insert({score.task, is_task(score)});
  return tasks.size();
}

BarChart chart_of(const RunSet& runs, const TaskScores& scores) {
  BarChart chart{.arms = runs.arms, .own_scales = true};
  const size_t groups = count_tasks(scores);
  size_t lines = 1;
  for (const ArmScore& score : scores) {
    const std::string name = group_name(score, scores, groups);
    const auto found = std::find(chart.groups.begin(), chart.groups.end(), name);
    const auto group = static_cast<size_t>(found - chart.groups.begin());
    if (found == chart.groups.end()) chart.groups.push_back(name);
    lines = std::max(lines, static_cast<size_t>(std::count(name.begin(), name.end(), '\n')) + 1);
    chart.bars.push_back({.arm = score.arm, .group = group, .after = score.value});
  }
  chart.axis_in = 0.12 + 0.13 * static_cast<double>(lines);
  return chart;
}

std::string interval_note(const TaskScores& scores) {
  const bool several =
      std::any_of(scores.begin(), scores.end(), [](const ArmScore& score) { return score.seeds > 1; });
  return several ? "95 % interval over seeds and problems" : "95 % interval over problems";
}

std::string caption_of(const RunSet& runs, size_t point, const TaskScores& shown, const std::string& note) {
  const std::string caption = count_seeds(runs.cells_at(point)) + "; " + interval_note(shown);
  return note.empty() ? caption : caption + "; " + note;
}

std::string csv_of(const RunSet& runs, const TaskScores& scores) {
  std::string csv =
      "task,protocol,arm,sweep_point,seeds,problems,percent,low,high,difference,difference_low,"
      "difference_high\n";
  for (const ArmScore& score : scores)
    csv += fmt::format("{},{},{},{},{},{},{},{}\n", csv_text(score.task), csv_text(score.protocol),
                       csv_text(runs.arms[score.arm]), csv_text(runs.points[score.point]), score.seeds,
                       score.problems, csv_fields(score.value), csv_fields(score.difference));
  return csv;
}

}  // namespace

Figure tasks(const RunSet& runs) {
  const TaskScores all = scores_of(runs);
  Figure made;
  for (size_t point = 0; point < runs.points.size(); ++point) {
    const TaskScores scores = scores_at(all, point), shown = first_protocols(scores);
    if (std::none_of(scores.begin(), scores.end(), is_task)) continue;
    made.drawings.push_back(draw_bars(chart_of(runs, shown), file_name("tasks", runs, point),
                                      title_of("Tasks", runs, runs.points[point]),
                                      caption_of(runs, point, shown, protocol_note(scores))));
    made.drawings.back().csv = csv_of(runs, scores);
  }
  if (made.drawings.empty()) made.missing = "no run has an evaluation of tasks";
  return made;
}

}  // namespace attnlab
