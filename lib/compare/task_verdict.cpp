#include "compare/task_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compare/answers.h"
#include "results/archive.h"
#include "results/evaluation_file.h"
#include "stats/multiple_tests.h"

namespace attnlab {
namespace {

struct TaskGroup {
  std::string task, protocol, sweep_point;
  auto operator<=>(const TaskGroup&) const = default;
};

// Of one arm: by seed.
struct ArmScores {
  std::string arm;
  AnswersBySeed by_seed;
};

void compare(TaskComparison& row, const AnswersBySeed& ours, const AnswersBySeed& theirs, double confidence) {
  AnswersDifference difference = difference_in_right(ours, theirs, confidence);
  row.found = difference.found;
  row.difference = difference.found.difference;
  row.p = difference.found.p;
  row.seed_differences = std::move(difference.seed_differences);
}

class TaskCollection {
 public:
  TaskCollection(const std::vector<RunRecord>& runs, const std::string& baseline, double confidence)
      : baseline_(baseline), confidence_(confidence) {
    std::set<std::string> experiments;
    for (const auto& run : runs) experiments.insert(run.header.experiment);
    for (const auto& run : runs) add(run, experiments.size() > 1);
  }

  std::vector<TaskComparison> compared() const {
    std::vector<TaskComparison> rows;
    for (const auto& group : order_) compare_group(group, rows);
    return rows;
  }

 private:
  void add(const RunRecord& run, bool several) {
    const auto file = tasks_file(run.path, run.last_step);
    if (run.state != RunState::complete || !result_exists(file)) return;
    const std::string label = several ? run.header.experiment + "/" + run.header.arm : run.header.arm;
    for (const auto& task : read_evaluation(file).tasks)
      for (const auto& [protocol, judgements] : task.judgements) {
        const TaskGroup group{task.label, protocol, run.header.sweep_point};
        auto& arms = groups_[group];
        if (arms.empty()) order_.push_back(group);
        arms.try_emplace({run.header.arm_index, label}, ArmScores{.arm = label});
        arms.at({run.header.arm_index, label}).by_seed[run.header.seed] = answers_of(judgements);
      }
  }

  void compare_group(const TaskGroup& group, std::vector<TaskComparison>& rows) const {
    const auto& arms = groups_.at(group);
    const auto named =
        std::find_if(arms.begin(), arms.end(), [&](const auto& arm) { return arm.second.arm == baseline_; });
    const auto& baseline = (named == arms.end() ? arms.begin() : named)->second;
    const size_t first = rows.size();
    std::vector<double> p;
    for (const auto& [place, arm] : arms) {
      TaskComparison row{.task = group.task,
                         .protocol = group.protocol,
                         .arm = arm.arm,
                         .sweep_point = group.sweep_point,
                         .is_baseline = &arm == &baseline,
                         .seeds = std::ssize(arm.by_seed),
                         .problems = std::ssize(arm.by_seed.begin()->second),
                         .value = share_right(arm.by_seed, confidence_)};
      if (!row.is_baseline) compare(row, arm.by_seed, baseline.by_seed, confidence_);
      p.push_back(row.p);
      rows.push_back(row);
    }
    const auto adjusted = adjusted_p(p, Adjustment::holm);
    for (size_t i = 0; i < adjusted.size(); ++i) rows[first + i].p_holm = adjusted[i];
  }

  std::string baseline_;
  double confidence_;
  std::vector<TaskGroup> order_;
  std::map<TaskGroup, std::map<std::pair<int64_t, std::string>, ArmScores>> groups_;
};

std::string percent(double value, bool sign) {
  return std::isnan(value) ? "-"
         : sign            ? fmt::format("{:+.2f}", 100 * value)
                           : fmt::format("{:.2f}", 100 * value);
}

std::string ends(const Interval& interval, bool sign) {
  return interval.has_ends()
             ? fmt::format("[{}, {}]", percent(interval.low, sign), percent(interval.high, sign))
             : "-";
}

}  // namespace

std::vector<TaskComparison> compare_tasks(const std::vector<RunRecord>& runs, const std::string& baseline,
                                          double confidence) {
  return TaskCollection(runs, baseline, confidence).compared();
}

Grid task_grid(const std::vector<TaskComparison>& rows) {
  Grid grid{.titles = {"arm", "seeds", "problems", "right %", "95 % interval", "difference", "95 % interval",
                       "p", "p (Holm)", "verdict"}};
  std::string heading;
  for (const auto& row : rows) {
    const std::string task =
        row.task + ", " + row.protocol + (row.sweep_point.empty() ? "" : ", " + row.sweep_point);
    if (task != heading) grid.lines.push_back({.heading = task + ":"});
    heading = task;
    const bool compared = !row.is_baseline;
    grid.lines.push_back({.cells = {row.arm, fmt::format("{}", row.seeds), fmt::format("{}", row.problems),
                                    percent(row.value.value, false), ends(row.value, false),
                                    compared ? percent(row.difference.value, true) : "",
                                    compared ? ends(row.difference, true) : "",
                                    std::isnan(row.p) ? "" : fmt::format("{:.2g}", row.p),
                                    std::isnan(row.p_holm) ? "" : fmt::format("{:.2g}", row.p_holm),
                                    compared ? verdict_words(row.difference, true) : "baseline"}});
  }
  return grid;
}

std::string task_verdict_note() {
  return "Differences to the baseline in points, paired by problem. Several seeds: intervals and p for other "
         "seeds "
         "and other problems (two-way random effects). One seed: for other problems alone (Wilson, Bonett and "
         "Price, McNemar mid-p). The verdict is \"higher\" or \"lower\" where the interval of the "
         "difference "
         "leaves out 0.";
}

std::string format_task_verdict(const std::vector<TaskComparison>& rows, TableStyle style) {
  if (rows.empty()) return "";
  const Grid grid = task_grid(rows);
  std::string text = "\n";
  text += style == TableStyle::text ? as_text(grid) : as_markdown(grid);
  return text + "\n" + task_verdict_note() + "\n";
}

}  // namespace attnlab
