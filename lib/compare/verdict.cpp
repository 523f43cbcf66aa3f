#include "compare/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compare/answers.h"
#include "compare/arms.h"
#include "compare/rate_note.h"
#include "compare/run_differences.h"
#include "compare/training_effect.h"
#include "core/add_once.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// The finished runs of one arm at one sweep point, by seed.
struct Cell {
  std::string arm, sweep_point;
  RunsBySeed by_seed;
};

class Comparison {
 public:
  Comparison(const std::vector<RunRecord>& runs, const std::string& baseline, double confidence) {
    table_.confidence = confidence;
    arms_ = arms_of(runs);
    several_ = several_experiments(runs);
    table_.baseline = find_baseline(arms_, baseline);
    for (const auto& run : runs) add_once(points_, run.header.sweep_point);
    for (const auto& run : runs) add(run);
    for (const auto& point : points_)
      for (const auto& arm : arms_) summarise_cell(arm.label, point);
    if (points_.size() > 1) choose_best();
    for (const auto& arm : arms_) warn_of_training(arm.label);
    warn_unequal_parameters();
    warn_unequal_inputs();
  }
  VerdictTable take() { return std::move(table_); }

 private:
  std::string label_of(const RunHeader& header) const { return arm_label(header, several_); }
  void add(const RunRecord& run);
  bool is_finished(const RunRecord& run);
  void note_rate(const RunRecord& run);
  const Cell* find(const std::string& arm, const std::string& point) const;
  ArmSummary summarise(const Cell& cell, const Cell* baseline) const;
  void summarise_cell(const std::string& arm, const std::string& point);
  const Cell* best_cell(const std::string& arm) const;
  void choose_best();
  void warn_of_training(const std::string& arm);
  void warn_unequal_parameters();
  void warn_unequal_inputs();

  bool several_ = false;
  std::vector<std::string> points_;
  std::vector<ArmName> arms_;
  std::vector<Cell> cells_;
  std::set<std::filesystem::path> seen_;
  VerdictTable table_;
};

bool Comparison::is_finished(const RunRecord& run) {
  if (run.state == RunState::complete) return true;
  table_.warnings.push_back(fmt::format("{} is left out: {}", run.path.string(), unfinished_note(run)));
  return false;
}

void Comparison::add(const RunRecord& run) {
  std::error_code ignored;
  const auto path = std::filesystem::weakly_canonical(run.path, ignored);
  if (!seen_.insert(path).second || !is_finished(run)) return;
  const std::string label = label_of(run.header), &point = run.header.sweep_point;
  auto cell = std::find_if(cells_.begin(), cells_.end(), [&](const Cell& candidate) {
    return candidate.arm == label && candidate.sweep_point == point;
  });
  if (cell == cells_.end()) cell = cells_.insert(cells_.end(), {.arm = label, .sweep_point = point});
  if (!cell->by_seed.emplace(run.header.seed, &run).second)
    table_.warnings.push_back(
        fmt::format("{} is left out: another run has its arm and seed", run.path.string()));
  if (!run.nonfinite.empty())
    table_.warnings.push_back(
        fmt::format("{}: {} steps with a loss or gradient that is not finite were skipped, the first is {}",
                    run.path.string(), run.nonfinite.size(), run.nonfinite[0].step));
  if (!std::isnan(metric_of(run, Metric::accuracy)) && last_answers(run).empty())
    add_once(table_.warnings,
             fmt::format("{}: the files do not tell which problems were solved, so accuracies have "
                         "no interval",
                         label));
  if (!run.train.empty() && !std::isfinite(metric_of(run, Metric::training_loss)))
    table_.warnings.push_back(fmt::format("{}: the training loss is not finite", run.path.string()));
}

const Cell* Comparison::find(const std::string& arm, const std::string& point) const {
  for (const auto& cell : cells_)
    if (cell.arm == arm && cell.sweep_point == point) return &cell;
  return nullptr;
}

PairedDifference paired(const Cell& cell, const Cell& baseline, Metric metric, double confidence) {
  std::vector<double> ours, theirs;
  for (const auto& [seed, run] : cell.by_seed) {
    const auto other = baseline.by_seed.find(seed);
    if (other == baseline.by_seed.end()) continue;
    ours.push_back(metric_of(*run, metric));
    theirs.push_back(metric_of(*other->second, metric));
  }
  return paired_difference(ours, theirs, confidence);
}

AnswersBySeed answers_of(const Cell& cell) {
  AnswersBySeed answers;
  for (const auto& [seed, run] : cell.by_seed)
    if (Answers found = last_answers(*run); !found.empty()) answers[seed] = std::move(found);
  return answers;
}

// Of fewer than two seeds no interval: it would be over problems alone.
Interval accuracy_over(const Cell& cell, double confidence) {
  std::vector<double> values;
  for (const auto& [seed, run] : cell.by_seed) values.push_back(metric_of(*run, Metric::accuracy));
  const AnswersBySeed answers = answers_of(cell);
  if (values.size() > 1 && answers.size() == values.size()) return share_right(answers, confidence);
  return {.value = mean_and_error(values).mean, .n = std::ssize(values)};
}

PairedDifference accuracy_difference(const Cell& cell, const Cell& baseline, double confidence) {
  const PairedDifference seeds = paired(cell, baseline, Metric::accuracy, confidence);
  const AnswersDifference found = difference_in_right(answers_of(cell), answers_of(baseline), confidence);
  if (seeds.difference.n > 1 && std::ssize(found.seed_differences) == seeds.difference.n) return found.found;
  return {.difference = {.value = seeds.difference.value, .n = seeds.difference.n}};
}

ArmSummary Comparison::summarise(const Cell& cell, const Cell* baseline) const {
  ArmSummary summary{.arm = cell.arm, .sweep_point = cell.sweep_point};
  summary.is_baseline = cell.arm == table_.baseline;
  summary.runs = static_cast<int64_t>(cell.by_seed.size());
  const RunHeader& header = cell.by_seed.begin()->second->header;
  summary.parameters_trainable = header.parameters_trainable;
  summary.cached_numbers_per_token = header.cached_numbers_per_token;
  summary.cache_context = header.cache_context;
  summary.cache_bytes = header.cache_bytes;
  summary.flops_per_token = header.flops_per_token;
  for (const auto& [name, metric] : EnumNames<Metric>::rows) {
    const auto place = static_cast<size_t>(metric);
    if (metric == Metric::accuracy) {
      summary.values[place] = accuracy_over(cell, table_.confidence);
      if (baseline && !summary.is_baseline)
        summary.differences[place] = accuracy_difference(cell, *baseline, table_.confidence);
      continue;
    }
    std::vector<double> values;
    for (const auto& [seed, run] : cell.by_seed) values.push_back(metric_of(*run, metric));
    summary.values[place] = mean_interval(values, table_.confidence);
    if (baseline && !summary.is_baseline)
      summary.differences[place] = paired(cell, *baseline, metric, table_.confidence);
  }
  return summary;
}

void Comparison::summarise_cell(const std::string& arm, const std::string& point) {
  const Cell* cell = find(arm, point);
  if (!cell) return;
  table_.rows.push_back(summarise(*cell, find(table_.baseline, point)));
  for (const auto& [seed, run] : cell->by_seed) note_rate(*run);
}

// By mean held-out loss; by training loss for runs that were never evaluated.
const Cell* Comparison::best_cell(const std::string& arm) const {
  for (const Metric metric : {Metric::heldout_loss, Metric::training_loss}) {
    const ArmSummary* best = nullptr;
    for (const auto& row : table_.rows) {
      const double value = row.value(metric).value;
      if (row.arm == arm && !std::isnan(value) && (!best || value < best->value(metric).value)) best = &row;
    }
    if (best) return find(arm, best->sweep_point);
  }
  return nullptr;
}

void Comparison::choose_best() {
  const Cell* baseline = best_cell(table_.baseline);
  for (const auto& arm : arms_)
    if (const Cell* cell = best_cell(arm.label)) table_.best.push_back(summarise(*cell, baseline));
}

// Of a sweep only the best point need be better than no training: others are there to be worse.
void Comparison::warn_of_training(const std::string& arm) {
  std::vector<const RunRecord*> one_per_point;
  for (const auto& cell : cells_)
    if (cell.arm == arm) one_per_point.push_back(cell.by_seed.begin()->second);
  const Cell* best = one_per_point.size() > 1 ? best_cell(arm) : nullptr;
  for (const auto& cell : cells_) {
    if (cell.arm != arm || (best && best != &cell)) continue;
    const std::string label = cell.sweep_point.empty() ? arm : arm + " @ " + cell.sweep_point;
    const std::string sentence = worse_than_before(label, cell.by_seed, table_.confidence);
    if (!sentence.empty()) add_once(table_.warnings, sentence);
  }
  if (!best) return;
  const std::string edge = best_rate_at_edge(arm, one_per_point, *best->by_seed.begin()->second);
  if (!edge.empty()) add_once(table_.warnings, edge);
}

void Comparison::warn_unequal_parameters() {
  for (const auto& row : table_.rows) {
    const Cell* cell = find(table_.baseline, row.sweep_point);
    if (!cell || row.is_baseline) continue;
    const auto ours = static_cast<double>(row.parameters_trainable);
    const auto theirs = static_cast<double>(cell->by_seed.begin()->second->header.parameters_trainable);
    if (std::max(ours, theirs) <= 1.05 * std::min(ours, theirs)) continue;
    add_once(table_.warnings,
             theirs == 0 ? fmt::format("{} trains parameters, {} trains none", row.arm, table_.baseline)
                         : fmt::format("{} trains {:.1f} % {} parameters than {}", row.arm,
                                       100 * std::abs(ours / theirs - 1), ours > theirs ? "more" : "fewer",
                                       table_.baseline));
  }
}

// Runs of one seed are compared, else the first of each.
void Comparison::warn_unequal_inputs() {
  for (const auto& cell : cells_) {
    const Cell* baseline = find(table_.baseline, cell.sweep_point);
    if (!baseline || baseline == &cell) continue;
    for (const auto& [seed, run] : cell.by_seed) {
      const auto same = baseline->by_seed.find(seed);
      const auto other = same == baseline->by_seed.end() ? baseline->by_seed.begin() : same;
      for (const auto& sentence :
           input_differences(run->header, other->second->header, cell.arm, table_.baseline))
        add_once(table_.warnings, sentence);
    }
  }
}

void Comparison::note_rate(const RunRecord& run) {
  const std::string sentence = rate_sentence(run.header.config), edge = edge_of_sweep(run.header.config);
  if (sentence.empty()) return;
  const std::string arm =
      label_of(run.header) + (run.header.sweep_point.empty() ? "" : " @ " + run.header.sweep_point);
  add_once(table_.notes, fmt::format("{}: learning rate {}", arm, sentence));
  if (!edge.empty())
    add_once(table_.warnings, fmt::format("{}: the chosen learning rate is {} of its sweep; a wider sweep may "
                                          "have a better one",
                                          arm, edge));
}

double mean_of_last(const std::vector<TrainRow>& rows, size_t most) {
  const size_t count = std::min(most, rows.size());
  double sum = 0;
  for (size_t i = rows.size() - count; i < rows.size(); ++i) sum += rows[i].loss;
  return sum / static_cast<double>(count);  // NaN for none
}

}  // namespace

double metric_of(const RunRecord& run, Metric metric) {
  if (metric == Metric::training_loss) return mean_of_last(run.train, 10);
  if (run.evaluations.empty()) return std::nan("");
  const EvaluationRow& last = run.evaluations.back();
  if (metric == Metric::heldout_loss) return last.heldout_tokens > 0 ? last.heldout_loss : std::nan("");
  return last.problems > 0 ? last.accuracy : std::nan("");
}

VerdictTable compare_arms(const std::vector<RunRecord>& runs, const std::string& baseline, double confidence) {
  if (runs.empty())
    throw InputError(BadInput{.found = "no run", .expected = "the results of at least one run"});
  return Comparison(runs, baseline, confidence).take();
}

}  // namespace attnlab
