// How far arms lie apart against what a run scatters by: which metric can decide between them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/grid.h"
#include "compare/verdict.h"

namespace attnlab {

// One metric or task at one sweep point, by the analysis of variance of arms × seeds: what seeds add to all
// arms alike is neither signal nor noise, since arms are compared by seed. In nats per token or points.
struct SignalNoise {
  std::string measure, sweep_point;  // "held-out loss"; "gsm8k, lm_eval_strict"
  int64_t arms = 0, seeds = 0;
  Interval signal;  // standard deviation of the arms' true means, 95 % interval
  Interval noise;   // of what is left of one run
  double ratio = not_known;
  // Seeds with which two arms that lie one signal apart are told apart (paired t test, α 0.05, power 0.8).
  std::optional<int64_t> seeds_needed;
};

// Of arms and seeds that make a full table, with at least two of each; arms that lack a seed of the first arm
// are left out.
std::vector<SignalNoise> signal_over_noise(const std::vector<RunRecord>& runs);

Grid signal_grid(const std::vector<SignalNoise>& rows);
std::string signal_note();

// The same runs, with their last `count` evaluations averaged in place of the last: late checkpoints scatter,
// and their mean less (Heineman et al. 2025, arXiv 2508.13144). Evaluations before the first step do not count.
// count >= 1.
std::vector<RunRecord> with_late_average(std::vector<RunRecord> runs, int64_t count);

}  // namespace attnlab
