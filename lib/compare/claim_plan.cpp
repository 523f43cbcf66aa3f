#include "compare/claim_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/names.h"

namespace attnlab {
namespace {

// Of what varies over seeds alone.
double loss_power(const ClaimDesign& d) {
  const double sd = std::sqrt(d.spread.seed);
  if (sd == 0) return d.design.seeds > 1 ? 1 : 0;
  if (d.expect == ClaimDirection::equal)
    return equivalence_power(d.design.seeds, 0, d.matters / sd, d.alpha / 2);
  // That an interval ends below `matters` while there is no difference is as likely as that it leaves out 0
  // where there is one.
  return paired_t_power(d.design.seeds, d.matters / sd, d.alpha);
}

double share_power(const ClaimDesign& d) {
  if (d.expect == ClaimDirection::equal)
    return crossed_equivalence_power(d.spread, d.design, d.matters, d.alpha / 2);
  return crossed_power(d.spread, d.design, d.matters, d.alpha);
}

// The least number with enough power, of what `set` changes.
template <class Set>
std::optional<int64_t> least_number(ClaimDesign design, int64_t first, int64_t most, Set set) {
  return least_count(first, most, [&](int64_t n) {
    set(design.design, n);
    return claim_power(design) >= design.power;
  });
}

std::string many(int64_t n, const char* noun) { return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s"); }

// By bisection.
std::optional<double> detectable_difference(ClaimDesign design) {
  double low = 0, high = design.is_loss ? 1e3 : 1;
  const auto enough = [&](double difference) {
    design.matters = difference;
    return claim_power(design) >= design.power;
  };
  if (!enough(high)) return std::nullopt;
  while (high - low > 1e-3 * high) {
    const double middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

std::string sd_text(const ClaimDesign& design, double factor) {
  if (design.is_loss) return fmt::format("sd {:.2g} over seeds", std::sqrt(design.spread.seed));
  std::string text =
      fmt::format("sd {:.2g} points over seeds, {:.3g} over problems, {:.3g} in a cell",
                  factor * std::sqrt(design.spread.seed), factor * std::sqrt(design.spread.problem),
                  factor * std::sqrt(design.spread.rest));
  if (design.spread.sampling > 0)
    text += fmt::format(", {:.3g} of one reply", factor * std::sqrt(design.spread.sampling));
  return text;
}

// Where nothing was measured and nothing is said. Of shares: with every fifth problem answered otherwise.
ScoreSpread assumed(const PlannedClaim& claim, const MetricName& name) {
  const double factor = name.factor();
  const auto square = [&](const std::optional<double>& sd, double standard) {
    const double value = sd ? *sd / factor : standard;
    return value * value;
  };
  if (name.is_loss()) return {.seed = square(claim.seed_sd, claim.matters)};
  return {.seed = square(claim.seed_sd, 0.02),
          .problem = square(claim.problem_sd, 0.3),
          .rest = square(claim.rest_sd, 0.3)};
}

bool says_all(const PlannedClaim& claim, const MetricName& name) {
  return claim.seed_sd && (name.is_loss() || (claim.problem_sd && claim.rest_sd));
}

std::string upper_end(const ClaimDesign& design, const Interval& variance) {
  if (!design.is_loss || !variance.has_ends()) return "";
  ClaimDesign wider = design;
  wider.spread.seed = variance.high;
  const auto seeds = needs_of(wider).seeds;
  return fmt::format("; at the upper end of its 95 % interval, {:.2g}, {}", std::sqrt(variance.high),
                     seeds ? many(*seeds, "seed") : "no number of seeds is enough");
}

}  // namespace

double claim_power(const ClaimDesign& design) {
  return design.is_loss ? loss_power(design) : share_power(design);
}

ClaimNeeds needs_of(const ClaimDesign& design) {
  ClaimNeeds needs;
  needs.seeds = least_number(design, 2, most_seeds, [](CrossedDesign& d, int64_t n) { d.seeds = n; });
  if (design.is_loss) return needs;
  needs.problems = least_number(design, 2, 10'000'000, [](CrossedDesign& d, int64_t n) { d.problems = n; });
  if (design.spread.sampling > 0)
    needs.samples = least_number(design, 1, 1000, [](CrossedDesign& d, int64_t n) { d.samples = n; });
  return needs;
}

std::string needs_text(const ClaimDesign& design) {
  const ClaimNeeds needs = needs_of(design);
  std::vector<std::string> ways;
  if (needs.seeds) ways.push_back(many(*needs.seeds, "seed"));
  if (needs.problems) ways.push_back(many(*needs.problems, "problem"));
  if (needs.samples) ways.push_back(many(*needs.samples, "reply") + " to a problem");
  if (!ways.empty()) return join(ways, ", or ");
  return design.is_loss ? "no number of seeds is enough"
                        : "seeds and problems: no number of one alone is enough";
}

CompiledClaim compile_claim(const SealedClaims& sealed, const PlannedClaim& claim, const CrossedDesign& design,
                            const std::vector<RunRecord>& earlier) {
  const MetricName name = parse_metric(claim.metric);
  CompiledClaim compiled{.claim = claim};
  ClaimDesign& d = compiled.design;
  d = {.expect = claim.expect,
       .is_loss = name.is_loss(),
       .spread = assumed(claim, name),
       .design = design,
       .matters = claim.matters / name.factor(),
       .alpha = sealed.alpha_of(claim),
       .power = sealed.power_of(claim)};
  const auto measured =
      earlier.empty() ? std::nullopt : measured_spread(earlier, claim.arm, claim.against, name);
  if (measured) d.spread = measured->spread;
  compiled.source = sd_text(d, name.factor());
  if (measured)
    compiled.source +=
        fmt::format(" (measured on {} of {})", many(measured->design.seeds, "seed"), sealed.claims.earlier) +
        upper_end(d, measured->seed_variance);
  else
    compiled.source += says_all(claim, name) ? " (as the config assumes)" : " (assumed; nothing was measured)";
  compiled.power = claim_power(d);
  compiled.detectable = detectable_difference(d);
  compiled.needed = compiled.power >= d.power ? "enough" : needs_text(d);
  return compiled;
}

std::string format_compiled(const std::vector<CompiledClaim>& claims) {
  Grid grid{.titles = {"claim", "about", "matters", "seeds", "problems", "alpha", "power", "shows at least",
                       "needs"}};
  std::string below;
  for (const auto& compiled : claims) {
    const PlannedClaim& claim = compiled.claim;
    const ClaimDesign& d = compiled.design;
    const double factor = d.is_loss ? 1 : 100;
    const std::string label = claim.id + (compiled.sweep_point.empty() ? "" : " @ " + compiled.sweep_point);
    grid.lines.push_back(
        {.cells = {label, about(claim), fmt::format("{:g} {}", claim.matters, d.is_loss ? "nats" : "points"),
                   fmt::format("{}", d.design.seeds), d.is_loss ? "" : fmt::format("{}", d.design.problems),
                   fmt::format("{:.3g}", d.alpha), fmt::format("{:.2f}", compiled.power),
                   compiled.detectable ? fmt::format("{:.2g}", factor * *compiled.detectable) : "nothing",
                   compiled.needed}});
    below += fmt::format("{}: {}\n", label, compiled.source);
  }
  return as_text(grid) + below;
}

}  // namespace attnlab
