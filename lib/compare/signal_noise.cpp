#include "compare/signal_noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compare/arms.h"
#include "compare/task_verdict.h"
#include "core/errors.h"
#include "core/find_field.h"
#include "results/archive.h"
#include "results/evaluation_file.h"
#include "stats/components.h"
#include "stats/planning.h"

namespace attnlab {
namespace {

using ArmSeeds = std::map<std::string, std::map<int64_t, double>>;  // arm → seed → value

struct SeedTable {
  std::string measure, sweep_point;
  double factor = 1;
  ArmSeeds values;
};

// Arms as problems: their component is the signal, the rest the noise of a run.
std::optional<CrossedScores> full_table(const SeedTable& table, const std::vector<std::string>& arms) {
  const std::map<int64_t, double>* first = nullptr;
  std::vector<const std::map<int64_t, double>*> rows;
  for (const auto& arm : arms) {
    const auto found = table.values.find(arm);
    if (found == table.values.end()) continue;
    if (!first) first = &found->second;
    const bool whole = std::all_of(first->begin(), first->end(),
                                   [&](const auto& one) { return found->second.count(one.first) > 0; });
    if (whole) rows.push_back(&found->second);
  }
  if (!first || first->size() < 2 || rows.size() < 2) return std::nullopt;
  CrossedScores scores{.n_seeds = std::ssize(*first), .n_problems = std::ssize(rows), .values = {}};
  for (const auto& [seed, value] : *first)
    for (const auto* row : rows) scores.values.push_back(table.factor * row->at(seed));
  return scores;
}

Interval root(const Interval& variance) {
  return {.value = std::sqrt(variance.value),
          .low = std::sqrt(variance.low),
          .high = std::sqrt(variance.high),
          .n = variance.n};
}

std::optional<SignalNoise> signal_of(const SeedTable& table, const std::vector<std::string>& arms) {
  const auto scores = full_table(table, arms);
  if (!scores) return std::nullopt;
  const VarianceComponents parts = variance_components(*scores);
  SignalNoise row{.measure = table.measure,
                  .sweep_point = table.sweep_point,
                  .arms = scores->n_problems,
                  .seeds = scores->n_seeds,
                  .signal = root(parts.problem),
                  .noise = root(parts.rest)};
  row.ratio = row.noise.value > 0 ? row.signal.value / row.noise.value : not_known;
  // A difference of two runs with one seed has twice the variance of the rest.
  if (row.ratio > 0) row.seeds_needed = seeds_for_difference(row.ratio / std::sqrt(2.0), 0.05, 0.8);
  return row;
}

class SeedTables {
 public:
  void put(const std::string& measure, const RunRecord& run, const std::string& arm, double factor,
           double value) {
    if (std::isnan(value)) return;
    auto found = std::find_if(tables_.begin(), tables_.end(), [&](const SeedTable& table) {
      return table.measure == measure && table.sweep_point == run.header.sweep_point;
    });
    if (found == tables_.end())
      found = tables_.insert(
          tables_.end(),
          {.measure = measure, .sweep_point = run.header.sweep_point, .factor = factor, .values = {}});
    found->values[arm].emplace(run.header.seed, value);
  }
  const std::vector<SeedTable>& all() const { return tables_; }

 private:
  std::vector<SeedTable> tables_;
};

double share_of(const std::vector<JudgementRow>& rows) {
  double right = 0;
  for (const auto& row : rows) right += static_cast<double>(row.correct);
  return rows.empty() ? not_known : right / static_cast<double>(rows.size());
}

void put_tasks(SeedTables& tables, const RunRecord& run, const std::string& arm) {
  const auto file = tasks_file(run.path, run.last_step);
  if (!result_exists(file)) return;
  for (const auto& task : read_evaluation(file).tasks)
    for (const auto& [protocol, judgements] : task.judgements)
      tables.put(task.label + ", " + protocol, run, arm, 100, share_of(judgements));
}

}  // namespace

std::vector<SignalNoise> signal_over_noise(const std::vector<RunRecord>& runs) {
  const bool several = several_experiments(runs);
  SeedTables tables;
  for (const auto& run : runs) {
    if (run.state != RunState::complete || find_field(run.header.config, "purpose")) continue;
    const std::string arm = arm_label(run.header, several);
    for (const auto& [name, metric] : EnumNames<Metric>::rows)
      tables.put(std::string(name), run, arm, metric == Metric::accuracy ? 100 : 1, metric_of(run, metric));
    if (!run.likelihoods.empty()) {
      tables.put("reference likelihood", run, arm, 1, run.likelihoods.back().reference);
      tables.put("own likelihood", run, arm, 1, run.likelihoods.back().own);
    }
    put_tasks(tables, run, arm);
  }
  std::vector<std::string> arms;
  for (const auto& arm : arms_of(runs)) arms.push_back(arm.label);
  std::vector<SignalNoise> rows;
  for (const auto& table : tables.all())
    if (auto row = signal_of(table, arms)) rows.push_back(std::move(*row));
  return rows;
}

Grid signal_grid(const std::vector<SignalNoise>& rows) {
  Grid grid{.titles = {"measure", "arms", "seeds", "signal", "95 % interval", "noise", "95 % interval",
                       "signal / noise", "seeds for a decision"}};
  const auto number = [](double value) { return std::isnan(value) ? "-" : fmt::format("{:.3g}", value); };
  const auto ends = [&](const Interval& interval) {
    return interval.has_ends() ? fmt::format("[{}, {}]", number(interval.low), number(interval.high)) : "-";
  };
  for (const auto& row : rows)
    grid.lines.push_back(
        {.cells = {row.measure + (row.sweep_point.empty() ? "" : " @ " + row.sweep_point),
                   fmt::format("{}", row.arms), fmt::format("{}", row.seeds), number(row.signal.value),
                   ends(row.signal), number(row.noise.value), ends(row.noise), number(row.ratio),
                   row.seeds_needed ? fmt::format("{}", *row.seeds_needed) : "none is enough"}});
  return grid;
}

std::string signal_note() {
  return "Signal: standard deviation of the arms' means; noise: of what is left of one run once arm and seed "
         "are "
         "taken out; losses in nats per token, all else in points. Seeds for a decision: to tell two arms "
         "apart "
         "that lie one signal apart (paired t test, alpha 0.05, power 0.8).";
}

std::vector<RunRecord> with_late_average(std::vector<RunRecord> runs, int64_t count) {
  ATTNLAB_CHECK(count >= 1);
  for (auto& run : runs) {
    auto& rows = run.evaluations;
    const auto first = std::find_if(rows.begin(), rows.end(), [](const auto& row) { return row.step > 0; });
    const auto n = std::min<int64_t>(count, rows.end() - first);
    if (n < 2) continue;
    EvaluationRow mean = rows.back();
    mean.heldout_loss = mean.accuracy = 0;
    std::set<int64_t> steps;
    for (auto row = rows.end() - n; row != rows.end(); ++row) {
      mean.heldout_loss += row->heldout_loss / static_cast<double>(n);
      mean.accuracy += row->accuracy / static_cast<double>(n);
      steps.insert(row->step);
    }
    rows.back() = mean;
    // Several answers of one step are several replies to a problem (answers_at).
    for (auto& answer : run.answers)
      if (steps.count(answer.step)) answer.step = mean.step;
  }
  return runs;
}

}  // namespace attnlab
