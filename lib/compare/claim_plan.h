// A claim before the data: what the planned runs can show of it, and what would be needed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/grid.h"
#include "compare/measured_spread.h"
#include "compare/planned_config.h"

namespace attnlab {

// What a claim is to be shown with. In the metric's own unit: nats, shares.
struct ClaimDesign {
  ClaimDirection expect = ClaimDirection::lower;
  bool is_loss = true;
  ScoreSpread spread;
  CrossedDesign design;
  double matters = 0, alpha = 0.05, power = 0.8;
};

// The chance that a claim is shown: of lower and higher, that the interval leaves out 0 where the difference is
// `matters`; of the others, that it stays within `matters` where there is none.
double claim_power(const ClaimDesign& design);

// The least number of each, the others as they are, that shows it with the wanted power; none: no number does.
struct ClaimNeeds {
  std::optional<int64_t> seeds, problems, samples;
};
ClaimNeeds needs_of(const ClaimDesign& design);
// "5 seeds, or 120 problems", "more seeds and problems: neither alone is enough"
std::string needs_text(const ClaimDesign& design);

struct CompiledClaim {
  PlannedClaim claim;
  std::string sweep_point;
  ClaimDesign design;
  std::string source;  // of its variances: "3 seeds of results/pilot", "assumed: …"
  double power = 0;
  std::optional<double> detectable;  // smallest difference that is shown with the wanted power
  std::string needed;
};

// `design`: seeds, problems and replies that are planned for the claim's metric.
CompiledClaim compile_claim(const SealedClaims& sealed, const PlannedClaim& claim, const CrossedDesign& design,
                            const std::vector<RunRecord>& earlier);

// A table, and below it where its variances come from.
std::string format_compiled(const std::vector<CompiledClaim>& claims);

}  // namespace attnlab
