#include "compare/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compare/claims_config.h"
#include "compare/claims_measured.h"
#include "compare/claims_rules.h"
#include "compare/claims_runs.h"
#include "stats/multiple_tests.h"

namespace attnlab {
namespace {

std::vector<ClaimResult> judge_one(const ClaimTest& test, const ClaimsInput& input) {
  if (test.runs) return judge(*test.runs, input.runs);
  if (test.conversion_logits) return judge(*test.conversion_logits, input.runs);
  return judge(*test.measured, input.measured);
}

std::vector<ClaimResult> parts_of(const Claim& claim, const ClaimsInput& input) {
  std::vector<ClaimResult> parts, absent;
  for (const auto& test : claim.tests) {
    auto judged = judge_one(test, input);
    const bool left_out = test.optional && judged[0].verdict == ClaimVerdict::no_data;
    auto& to = left_out ? absent : parts;
    for (auto& part : judged) to.push_back(std::move(part));
  }
  return parts.empty() ? absent : parts;
}

void describe_as(ClaimResult& result, const Claim& claim) {
  result.id = claim.id;
  result.sentence = claim.sentence;
  result.source = claim.source;
  result.claimed = claim.claimed;
  result.needed = claim.needed;
  result.command = claim.command;
}

// The texts of the parts, each once.
template <class Member>
std::string joined(const std::vector<ClaimResult>& parts, Member member) {
  std::vector<std::string> texts;
  for (const auto& part : parts)
    if (!(part.*member).empty() && std::find(texts.begin(), texts.end(), part.*member) == texts.end())
      texts.push_back(part.*member);
  return join(texts, "; ");
}

ClaimVerdict verdict_of_parts(const std::map<ClaimVerdict, size_t>& counts, size_t parts) {
  if (counts.contains(ClaimVerdict::does_not_hold)) return ClaimVerdict::does_not_hold;
  const auto all = [&](ClaimVerdict verdict) {
    const auto found = counts.find(verdict);
    return found != counts.end() && found->second == parts;
  };
  return all(ClaimVerdict::holds)     ? ClaimVerdict::holds
         : all(ClaimVerdict::no_data) ? ClaimVerdict::no_data
                                      : ClaimVerdict::not_shown;
}

// "holds here at 2 of 3 places, no data at 1"
std::string count_text(const std::map<ClaimVerdict, size_t>& counts, size_t parts) {
  std::vector<std::string> texts;
  for (const auto& [verdict, count] : counts)
    texts.push_back(fmt::format("{} in {} of {} parts", name_of(verdict), count, parts));
  return join(texts);
}

ClaimResult whole_of(std::vector<ClaimResult> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  std::map<ClaimVerdict, size_t> counts;
  ClaimResult whole;
  for (const auto& part : parts) {
    ++counts[part.verdict];
    if (part.verdict == ClaimVerdict::no_data) continue;
    whole.seeds = whole.seeds == 0 ? part.seeds : std::min(whole.seeds, part.seeds);
    whole.problems = std::max(whole.problems, part.problems);
  }
  whole.verdict = verdict_of_parts(counts, parts.size());
  whole.why = count_text(counts, parts.size());
  whole.experiment = joined(parts, &ClaimResult::experiment);
  whole.comparison = joined(parts, &ClaimResult::comparison);
  whole.unit = joined(parts, &ClaimResult::unit);
  whole.scale = joined(parts, &ClaimResult::scale);
  whole.parts = std::move(parts);
  return whole;
}

// Calls on each result that has a number of its own.
template <class Visit>
void for_each_leaf(std::vector<ClaimResult>& claims, Visit&& visit) {
  for (auto& claim : claims) {
    if (claim.parts.empty()) visit(claim);
    for (auto& part : claim.parts) visit(part);
  }
}

void adjust(std::vector<ClaimResult>& claims) {
  std::vector<double> p;
  for_each_leaf(claims, [&](const ClaimResult& leaf) { p.push_back(leaf.p); });
  const auto tests = std::count_if(p.begin(), p.end(), [](double value) { return !std::isnan(value); });
  const std::vector<double> adjusted = adjusted_p(p, Adjustment::holm);
  size_t next = 0;
  for_each_leaf(claims, [&](ClaimResult& leaf) {
    leaf.p_holm = adjusted[next++];
    const bool decided = leaf.verdict == ClaimVerdict::holds || leaf.verdict == ClaimVerdict::does_not_hold;
    if (decided && leaf.p_holm > 0.05)
      leaf.why += fmt::format("; but p is {:.2g} once it counts as one of {} tests", leaf.p_holm, tests);
  });
}

}  // namespace

std::vector<ClaimResult> judge_claims(const std::filesystem::path& claims_file, const ClaimsInput& input) {
  std::vector<ClaimResult> results;
  for (const auto& claim : read_claims(claims_file)) {
    results.push_back(whole_of(parts_of(claim, input)));
    describe_as(results.back(), claim);
    for (auto& part : results.back().parts) describe_as(part, claim);
  }
  adjust(results);
  return results;
}

}  // namespace attnlab
