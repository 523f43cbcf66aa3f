#include "compare/task_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "results/archive.h"
#include "results/evaluation_file.h"
#include "stats/bootstrap.h"
#include "stats/crossed.h"
#include "stats/mcnemar.h"
#include "stats/multiple_tests.h"

namespace attnlab {
namespace {

using Shares = std::vector<double>;  // of one run: per problem, the share of its replies that are right

struct TaskGroup {
  std::string task, protocol, sweep_point;
  auto operator<=>(const TaskGroup&) const = default;
};

// Of one arm: by seed.
struct ArmScores {
  std::string arm;
  std::map<int64_t, Shares> by_seed;
};

Shares shares_of(const std::vector<JudgementRow>& rows) {
  std::map<int64_t, std::pair<double, double>> sums;
  for (const auto& row : rows) {
    sums[row.problem].first += static_cast<double>(row.correct);
    sums[row.problem].second += 1;
  }
  Shares shares;
  for (const auto& [problem, sum] : sums) shares.push_back(sum.first / sum.second);
  return shares;
}

CrossedScores crossed(const std::map<int64_t, Shares>& by_seed) {
  CrossedScores scores{.n_seeds = std::ssize(by_seed)};
  for (const auto& [seed, shares] : by_seed) {
    scores.n_problems = std::ssize(shares);
    scores.values.insert(scores.values.end(), shares.begin(), shares.end());
  }
  return scores;
}

bool all_or_nothing(const Shares& shares) {
  return std::all_of(shares.begin(), shares.end(), [](double share) { return share == 0 || share == 1; });
}

Interval value_of(const std::map<int64_t, Shares>& by_seed) {
  const Shares& first = by_seed.begin()->second;
  if (by_seed.size() > 1) return crossed_mean(crossed(by_seed)).interval;
  if (!all_or_nothing(first)) return mean_interval(first);
  const auto right = std::count(first.begin(), first.end(), 1.0);
  return wilson_interval(right, std::ssize(first));
}

void compare(TaskComparison& row, const std::map<int64_t, Shares>& ours,
             const std::map<int64_t, Shares>& theirs) {
  std::map<int64_t, Shares> x, y;
  for (const auto& [seed, shares] : ours) {
    const auto other = theirs.find(seed);
    if (other == theirs.end() || other->second.size() != shares.size()) continue;
    x[seed] = shares;
    y[seed] = other->second;
    row.seed_differences.push_back(mean_and_error(shares).mean - mean_and_error(other->second).mean);
  }
  if (x.empty()) return;
  if (x.size() > 1) {
    const CrossedMean mean = crossed_mean(crossed_difference(crossed(x), crossed(y)));
    row.difference = mean.interval;
    row.p = mean.p;
    return;
  }
  const Shares &a = x.begin()->second, &b = y.begin()->second;
  row.difference = bootstrap_difference(a, b).bca;
  if (!all_or_nothing(a) || !all_or_nothing(b)) return;
  const std::vector<uint8_t> right_a(a.begin(), a.end()), right_b(b.begin(), b.end());
  const Discordant pairs = count_discordant(right_a, right_b);
  row.p = mcnemar(pairs.only_x, pairs.only_y).mid_p;
}

class TaskCollection {
 public:
  TaskCollection(const std::vector<RunRecord>& runs, const std::string& baseline) : baseline_(baseline) {
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
        arms.at({run.header.arm_index, label}).by_seed[run.header.seed] = shares_of(judgements);
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
                         .value = value_of(arm.by_seed)};
      if (!row.is_baseline) compare(row, arm.by_seed, baseline.by_seed);
      p.push_back(row.p);
      rows.push_back(row);
    }
    const auto adjusted = adjusted_p(p, Adjustment::holm);
    for (size_t i = 0; i < adjusted.size(); ++i) rows[first + i].p_holm = adjusted[i];
  }

  std::string baseline_;
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

std::vector<TaskComparison> compare_tasks(const std::vector<RunRecord>& runs, const std::string& baseline) {
  return TaskCollection(runs, baseline).compared();
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
                                    compared ? std::string(name_of(verdict_of(row.difference))) : "baseline"}});
  }
  return grid;
}

std::string task_verdict_note() {
  return "Differences to the baseline in points, paired by problem. Several seeds: intervals and p for other "
         "seeds "
         "and other problems (two-way random effects). One seed: for other problems alone (Wilson, paired "
         "bootstrap BCa, McNemar mid-p). The verdict is \"higher\" or \"lower\" where the interval of the "
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
