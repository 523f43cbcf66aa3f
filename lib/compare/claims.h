// Sentences of a paper that can be tested, and what the runs and measurements here say of each.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "compare/verdict.h"
#include "results/measurements.h"

namespace attnlab {

enum class ClaimVerdict { holds, does_not_hold, equivalent, not_shown, no_data };

template <>
struct EnumNames<ClaimVerdict> {
  static constexpr std::array<std::pair<std::string_view, ClaimVerdict>, 5> rows{
      {{"holds here", ClaimVerdict::holds},
       {"does not hold here", ClaimVerdict::does_not_hold},
       {"equivalent here", ClaimVerdict::equivalent},
       {"not shown", ClaimVerdict::not_shown},
       {"no data", ClaimVerdict::no_data}}};
};

// What became of a claim, or of one of its parts.
struct ClaimResult {
  std::string id, sentence, source;  // source: "arXiv 2502.07864v1, section 4.2"
  ClaimVerdict verdict = ClaimVerdict::no_data;
  std::string experiment, comparison;  // "gsm8k_small, lr=1e-3", "mla_orthogonal minus gqa, held-out loss"
  std::string unit;                    // "nats per token", "points", "times", "share"
  // The number; its 95 % interval over seeds (tasks: and problems). A time: between the least and the longest.
  // No ends where nothing was drawn at random.
  Interval effect;
  // Where the claim says that the number lies, in the number's unit; infinite: no border on that side.
  double claimed_low = -std::numeric_limits<double>::infinity();
  double claimed_high = std::numeric_limits<double>::infinity();
  double effect_size = not_known;  // mean difference / its standard deviation over seeds (Cohen's d_z)
  // Two-sided, that the number lies at the border of what is claimed (0, or the number that the claim tells);
  // for "equal" the larger of the two one-sided ones, of a number outside of what is claimed that of the nearer
  // border. p_holm: adjusted over all parts that have a p.
  double p = not_known, p_holm = not_known;
  int64_t seeds = 0, problems = 0;
  std::string scale;    // "2.70M parameters, 204.80k tokens, NVIDIA H200"
  std::string claimed;  // what the paper says: "+0.15 % on GSM8K"
  std::string why;      // one sentence: why this verdict
  std::string needed;   // what would be needed to show it
  std::string command;  // that makes the data
  // The places at which the claim was tested (experiments, sweep points, tasks), if more than one. The whole
  // then has no number of its own: it holds if all parts hold, does not hold if any does not, else it is not
  // shown; no part with data: no data.
  std::vector<ClaimResult> parts;
};

struct ClaimsInput {
  const std::vector<RunRecord>& runs;  // unfinished ones, and those that chose a learning rate, are left out
  const std::vector<Measurements>& measured;
};

// The largest p that a verdict other than "not shown" may have, adjusted by Holm over all parts of all claims.
inline constexpr double claims_alpha = 0.05;
// The rule of all verdicts, in words for readers of a page or a terminal.
std::string claims_rule();

// Judges each claim of a claims file (experiments/claims.yaml tells the format), in the file's order, by
// claims_rule(). Fewer than two seeds where seeds matter: not shown. Throws InputError with file and line for a
// bad file.
std::vector<ClaimResult> judge_claims(const std::filesystem::path& claims_file, const ClaimsInput& input);

}  // namespace attnlab
