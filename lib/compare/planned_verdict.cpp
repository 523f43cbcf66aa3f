#include "compare/planned_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/run_places.h"
#include "compare/task_verdict.h"
#include "core/add_once.h"
#include "core/files.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

Interval in_unit(const Interval& interval, double factor) {
  return {.value = factor * interval.value,
          .low = factor * interval.low,
          .high = factor * interval.high,
          .n = interval.n};
}

std::string text_in(const RunRecord& run, const char* key) {
  const auto* text = find_field<std::string>(run.header.provenance, key);
  return text ? *text : "";
}

void take(PlannedResult& result, const PairedDifference& found, double factor) {
  result.difference = in_unit(found.difference, factor);
  result.p = found.p;
  const MeanError mean{.mean = factor * found.student.mean,
                       .standard_error = factor * found.student.standard_error};
  if (found.df > 0) result.p_equivalent = equivalence_p(mean, found.df, result.claim.matters);
}

void take_metric(PlannedResult& result, const Place& place, const MetricName& name) {
  const VerdictTable table = compare_arms(place.runs, result.claim.against, result.confidence);
  for (const auto& row : table.rows)
    if (row.arm == result.claim.arm) take(result, row.difference(*name.metric), name.factor());
  result.seeds = result.difference.n;
  const auto& evaluations = place.first(result.claim.arm)->evaluations;
  if (!name.is_loss() && !evaluations.empty()) result.problems = evaluations.back().problems;
}

void take_task(PlannedResult& result, const Place& place, const MetricName& name) {
  for (const auto& row : compare_tasks(place.runs, result.claim.against, result.confidence)) {
    if (row.arm != result.claim.arm || row.task != name.task) continue;
    if (!name.protocol.empty() && row.protocol != name.protocol) continue;
    result.seeds = std::ssize(row.seed_differences);
    result.problems = row.problems;
    // Of one seed an interval tells nothing of others.
    if (result.seeds > 1)
      take(result, row.found, name.factor());
    else
      result.difference.value = name.factor() * row.difference.value;
    return;
  }
}

std::string planned_number(double value) { return fmt::format("{:.3g}", value); }

std::string where_it_lies(const PlannedResult& result) {
  if (result.seeds == 0) return "the arms have no finished seed in common, or the metric was not measured";
  if (result.seeds == 1) return "one seed tells nothing of the scatter over seeds";
  const Interval& d = result.difference;
  if (!d.has_ends()) return "there is no interval";
  const double m = result.claim.matters;
  if (d.low > -m && d.high < m) return "the interval lies inside ±" + planned_number(m);
  if (d.high < 0 || d.low > 0)
    return fmt::format("the interval lies {} 0{}", d.high < 0 ? "below" : "above",
                       d.high < -m || d.low > m ? " by more than " + planned_number(m) : "");
  if (d.low > -m) return "the interval holds 0 and excludes -" + planned_number(m);
  if (d.high < m) return "the interval holds 0 and excludes " + planned_number(m);
  return "the interval holds 0, and differences that matter on both sides";
}

// What shows the claim, by the scatter that these runs have.
std::string what_is_needed(const SealedClaims& sealed, const PlannedResult& result, const Place& place) {
  const MetricName name = parse_metric(result.claim.metric);
  const auto measured = measured_spread(place.runs, result.claim.arm, result.claim.against, name);
  if (!measured) return "at least two seeds that both arms have";
  const ClaimDesign design{.expect = result.claim.expect,
                           .is_loss = name.is_loss(),
                           .spread = measured->spread,
                           .design = measured->design,
                           .matters = result.claim.matters / name.factor(),
                           .alpha = sealed.alpha_of(result.claim),
                           .power = sealed.power_of(result.claim)};
  return needs_text(design) + " (by the scatter of these runs)";
}

PlannedResult judge_one(const SealedClaims& sealed, const PlannedClaim& claim, const Place& place) {
  PlannedResult result{.claim = claim, .experiment = sealed.experiment, .sweep_point = place.sweep_point};
  result.confidence = 1 - sealed.alpha_of(claim);
  const MetricName name = parse_metric(claim.metric);
  result.why = arm_lacking(place, {claim.arm, claim.against});
  if (!result.why.empty()) {
    result.needed = "runs of both arms";
    return result;
  }
  name.metric ? take_metric(result, place, name) : take_task(result, place, name);
  result.word = claim_word(result.difference, claim.expect, claim.matters);
  result.why = where_it_lies(result);
  if (result.word == ClaimWord::inconclusive) result.needed = what_is_needed(sealed, result, place);
  return result;
}

void tell_when(PlannedResult& result, const std::string& hash, const Place& place) {
  size_t judged = 0, carry = 0;
  for (const auto& run : place.runs) {
    if (run.header.arm != result.claim.arm && run.header.arm != result.claim.against) continue;
    ++judged;
    carry += text_in(run, plan_hash_key) == hash;
  }
  result.plan_sha256 = hash;
  result.planned_before = judged > 0 && carry == judged;
  result.planned = judged == 0 ? "there are no data"
                   : result.planned_before
                       ? "before the data"
                       : fmt::format("after the data: {} of {} runs carry this plan", carry, judged);
}

}  // namespace

std::vector<PlannedResult> judge_planned(const SealedClaims& sealed, const std::vector<RunRecord>& runs) {
  const std::string hash = sha256(seal_text(sealed));
  std::vector<PlannedResult> results;
  for (const auto& point : sealed.sweep_points) {
    Place place{.experiment = sealed.experiment, .sweep_point = point};
    for (auto& candidate : places_of(runs, "*", "*")) {
      if (candidate.experiment != sealed.experiment || candidate.sweep_point != point) continue;
      place.runs = std::move(candidate.runs);
    }
    std::erase_if(place.runs, [&](const RunRecord& run) {
      return std::find(sealed.seeds.begin(), sealed.seeds.end(), run.header.seed) == sealed.seeds.end();
    });
    for (const auto& claim : sealed.claims.list) {
      results.push_back(judge_one(sealed, claim, place));
      tell_when(results.back(), hash, place);
    }
  }
  return results;
}

std::vector<PlannedResult> judge_planned(const std::vector<RunRecord>& runs) {
  std::vector<std::string> texts;
  for (const auto& run : runs)
    if (const std::string text = text_in(run, plan_text_key); !text.empty()) add_once(texts, text);
  std::vector<PlannedResult> results;
  for (const auto& text : texts)
    for (auto& result : judge_planned(read_sealed(text, plan_text_key), runs))
      results.push_back(std::move(result));
  return results;
}

Grid planned_grid(const std::vector<PlannedResult>& results) {
  Grid grid{.titles = {"claim", "about", "matters", "difference", "interval", "confidence", "p", "p equivalent",
                       "seeds", "word", "planned"}};
  for (const auto& result : results) {
    const PlannedClaim& claim = result.claim;
    const Interval& d = result.difference;
    const auto p = [](double value) { return std::isnan(value) ? "-" : fmt::format("{:.2g}", value); };
    grid.lines.push_back(
        {.cells = {claim.id + (result.sweep_point.empty() ? "" : " @ " + result.sweep_point), about(claim),
                   planned_number(claim.matters), std::isnan(d.value) ? "-" : fmt::format("{:+.3g}", d.value),
                   d.has_ends() ? fmt::format("[{:+.3g}, {:+.3g}]", d.low, d.high) : "-",
                   fmt::format("{:.4g} %", 100 * result.confidence), p(result.p), p(result.p_equivalent),
                   fmt::format("{}", result.seeds), std::string(name_of(result.word)),
                   result.planned_before ? "before the data" : "after the data"}});
  }
  return grid;
}

std::string planned_note(const std::vector<PlannedResult>& results) {
  std::string note =
      "Planned claims: supported, refuted, equivalent (the interval lies inside ± what matters) or "
      "inconclusive. "
      "Confidence: the claims share alpha evenly. Losses in nats per token, shares of problems in points. p "
      "equivalent: of two one-sided tests.";
  for (const auto& result : results)
    note += fmt::format("\n{}{}: {}: {}{}; planned {} (plan {})", result.claim.id,
                        result.sweep_point.empty() ? "" : " @ " + result.sweep_point, name_of(result.word),
                        result.why, result.needed.empty() ? "" : "; needed: " + result.needed, result.planned,
                        result.plan_sha256.substr(0, 12));
  return note;
}

std::string format_planned(const std::vector<PlannedResult>& results, TableStyle style) {
  if (results.empty()) return "";
  std::string note = planned_note(results);
  const bool markdown = style == TableStyle::markdown;
  for (size_t at = 0; markdown && (at = note.find('\n', at)) != std::string::npos; at += 4)
    note.insert(at + 1, "\n- ");
  const Grid grid = planned_grid(results);
  return "\n" + (markdown ? as_markdown(grid) : as_text(grid)) + "\n" + note + "\n";
}

}  // namespace attnlab
