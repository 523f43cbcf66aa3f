#include "scores.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "compare/task_verdict.h"
#include "final_values.h"

namespace attnlab {
namespace {

size_t place_of(const std::vector<std::string>& list, const std::string& text) {
  return static_cast<size_t>(std::find(list.begin(), list.end(), text) - list.begin());
}

Interval answers_difference(const VerdictTable& table, const RunSet& runs, const RunCell& cell) {
  for (const ArmSummary& row : table.rows)
    if (row.arm == runs.arms[cell.arm] && row.sweep_point == runs.points[cell.point] && !row.is_baseline)
      return in_percent(row.difference(Metric::accuracy).difference);
  return {};
}

void add_answers(std::vector<ArmScore>& scores, const RunSet& runs) {
  const VerdictTable table = compare_arms(runs.records);
  for (const RunCell& cell : runs.cells) {
    const Interval value = final_accuracy(cell);
    if (std::isnan(value.value)) continue;
    const std::string kind = config_text(*cell.runs.front(), "data.kind");
    scores.push_back({.task = kind.empty() ? "answers" : kind,
                      .arm = cell.arm,
                      .point = cell.point,
                      .seeds = std::ssize(cell.runs),
                      .problems = problems_asked(cell),
                      .value = value,
                      .difference = answers_difference(table, runs, cell)});
  }
}

void add_tasks(std::vector<ArmScore>& scores, const RunSet& runs) {
  const std::vector<TaskComparison> rows = compare_tasks(runs.records, runs.arms.front());
  // Where the first arm was not asked a task, compare_tasks takes another one in its place.
  std::set<std::tuple<std::string, std::string, std::string>> compared;
  for (const TaskComparison& row : rows)
    if (row.is_baseline && row.arm == runs.arms.front())
      compared.insert({row.task, row.protocol, row.sweep_point});
  for (const TaskComparison& row : rows) {
    const bool has_first = compared.count({row.task, row.protocol, row.sweep_point}) > 0;
    scores.push_back({.task = row.task,
                      .protocol = row.protocol,
                      .arm = place_of(runs.arms, row.arm),
                      .point = place_of(runs.points, row.sweep_point),
                      .seeds = row.seeds,
                      .problems = row.problems,
                      .value = in_percent(row.value),
                      .difference = has_first ? in_percent(row.difference) : Interval{}});
  }
}

}  // namespace

std::vector<ArmScore> scores_of(const RunSet& runs) {
  std::vector<ArmScore> scores;
  add_answers(scores, runs);
  add_tasks(scores, runs);
  return scores;
}

std::string score_name(const ArmScore& score, const std::vector<ArmScore>& all) {
  const bool several = std::any_of(all.begin(), all.end(), [&](const ArmScore& other) {
    return other.task == score.task && other.protocol != score.protocol;
  });
  if (!several) return score.task;
  return score.task + ", " + (score.protocol.empty() ? "answers" : score.protocol);
}

std::vector<ArmScore> first_protocols(const std::vector<ArmScore>& all) {
  std::map<std::string, std::string> first;
  std::vector<ArmScore> shown;
  for (const ArmScore& score : all)
    if (score.protocol.empty() || first.emplace(score.task, score.protocol).first->second == score.protocol)
      shown.push_back(score);
  return shown;
}

std::string protocol_note(const std::vector<ArmScore>& all) {
  std::map<std::string, std::string> first;
  std::set<std::string> chosen;
  for (const ArmScore& score : all)
    if (!score.protocol.empty()) {
      const std::string& shown = first.emplace(score.task, score.protocol).first->second;
      if (shown != score.protocol) chosen.insert(shown);
    }
  if (chosen.empty()) return "";
  return chosen.size() == 1 ? "of several protocols " + *chosen.begin() : "first protocol of each task";
}

}  // namespace attnlab
