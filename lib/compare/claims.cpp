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
  return all(ClaimVerdict::holds)        ? ClaimVerdict::holds
         : all(ClaimVerdict::equivalent) ? ClaimVerdict::equivalent
         : all(ClaimVerdict::no_data)    ? ClaimVerdict::no_data
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

// A verdict that chance would give as easily among so many tests is none.
void adjust(std::vector<std::vector<ClaimResult>>& parts_of_claims) {
  std::vector<double> p;
  for (const auto& parts : parts_of_claims)
    for (const auto& part : parts) p.push_back(part.p);
  const auto tests = std::count_if(p.begin(), p.end(), [](double value) { return !std::isnan(value); });
  const std::vector<double> adjusted = adjusted_p(p, Adjustment::holm);
  size_t next = 0;
  for (auto& parts : parts_of_claims)
    for (auto& part : parts) {
      part.p_holm = adjusted[next++];
      const bool decided = part.verdict != ClaimVerdict::not_shown && part.verdict != ClaimVerdict::no_data;
      if (!decided || !(part.p_holm > claims_alpha)) continue;
      part.verdict = ClaimVerdict::not_shown;
      part.why += fmt::format("; but p is {:.2g} once it counts as one of {} tests", part.p_holm, tests);
    }
}

}  // namespace

std::string claims_rule() {
  return fmt::format(
      "A claim holds here (✓) only if its whole 95 % interval lies on the claimed side, and p, adjusted by "
      "Holm for "
      "all tests of these claims, is at most {0}. It does not hold here (✗) if both are so on the other side. "
      "Where a claim says which difference matters, it is equivalent here (≈) if the interval lies inside ± "
      "that. All "
      "else is not shown (?). A number in which chance has no part has no p, and is judged without. A claim of "
      "several parts holds if each part does, and does not hold if one does not.",
      claims_alpha);
}

std::vector<ClaimResult> judge_claims(const std::filesystem::path& claims_file, const ClaimsInput& input) {
  const std::vector<Claim> claims = read_claims(claims_file);
  std::vector<std::vector<ClaimResult>> judged;
  for (const auto& claim : claims) judged.push_back(parts_of(claim, input));
  adjust(judged);
  std::vector<ClaimResult> results;
  for (size_t i = 0; i < claims.size(); ++i) {
    results.push_back(whole_of(std::move(judged[i])));
    describe_as(results.back(), claims[i]);
    for (auto& part : results.back().parts) describe_as(part, claims[i]);
  }
  return results;
}

}  // namespace attnlab
