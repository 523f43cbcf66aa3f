// From finished runs to a verdict: per arm what it cost and what it reached, and its difference to one arm.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "results/run_reader.h"
#include "stats/intervals.h"

namespace attnlab {

// What arms are compared by.
enum class Metric { training_loss, heldout_loss, accuracy };
inline constexpr int metric_count = 3;

template <>
struct EnumNames<Metric> {
  static constexpr std::array<std::pair<std::string_view, Metric>, metric_count> rows{
      {{"training loss", Metric::training_loss},
       {"held-out loss", Metric::heldout_loss},
       {"accuracy", Metric::accuracy}}};
};

// A run's value: training loss: mean over its last (at most 10) rows; the others: its last evaluation. NaN if
// the run has none.
double metric_of(const RunRecord& run, Metric metric);

// One arm at one sweep point.
struct ArmSummary {
  std::string arm;          // "experiment/arm" where several experiments are compared
  std::string sweep_point;  // "" without a sweep
  bool is_baseline = false;
  int64_t runs = 0;  // finished ones, which the rest is about
  int64_t parameters_trainable = 0, cached_numbers_per_token = 0;
  std::optional<int64_t> cache_context;  // tokens that cache_bytes is told at
  std::optional<double> cache_bytes;
  double flops_per_token = 0;
  // Over seeds, and to the baseline over the seeds that both have. Accuracies: over seeds and problems
  // (answers.h); of fewer than two seeds, or where files do not tell problems apart, without ends.
  std::array<Interval, metric_count> values;
  std::array<PairedDifference, metric_count> differences;
  const Interval& value(Metric metric) const { return values[static_cast<size_t>(metric)]; }
  const PairedDifference& difference(Metric metric) const { return differences[static_cast<size_t>(metric)]; }
};

struct VerdictTable {
  std::string baseline;
  double confidence = 0.95;
  std::vector<ArmSummary> rows;    // by sweep point, then by arm
  std::vector<ArmSummary> best;    // with a sweep: each arm at its sweep point of lowest mean held-out loss
  std::vector<std::string> notes;  // how learning rates were chosen
  std::vector<std::string> warnings;
};

// Compares the arms of `runs`. The baseline is the arm of that name, or the first arm ("": order of
// experiments as given, then RunHeader::arm_index). Unfinished and failed runs are left out and named in the
// warnings. Throws InputError if there are no runs or no arm `baseline`.
VerdictTable compare_arms(const std::vector<RunRecord>& runs, const std::string& baseline = "",
                          double confidence = 0.95);

enum class TableStyle { text, markdown };
}  // namespace attnlab
