#include "report/sample_results.h"
#include "report/sections.h"

using namespace attnlab;
using namespace attnlab::report;

namespace {

ClaimResult claim_of(const std::string& id, ClaimVerdict verdict) {
  return {.id = id,
          .sentence = "Sentence " + id,
          .source = "a paper",
          .verdict = verdict,
          .experiment = "e",
          .comparison = "mla minus gqa",
          .unit = "points",
          .effect = {.value = 2.5, .low = 1, .high = 4, .n = 3},
          .claimed_low = 3,
          .effect_size = 1.25,
          .p = 0.004,
          .p_holm = 0.012,
          .seeds = 3,
          .problems = 50,
          .scale = "2.7M parameters",
          .claimed = "+3 points",
          .why = "the interval lies above 0",
          .needed = "more seeds",
          .command = "run_ablation --config x"};
}

}  // namespace

TEST_CASE("a claim's card tells all that is known of it") {
  const std::vector<ClaimResult> claims{claim_of("one", ClaimVerdict::holds)};
  const std::string markup = claims_section(&claims).markup();
  for (const char* words :
       {"Sentence one", "a paper", "holds here", "✓", "mla minus gqa", "2.5 points, 95 % interval [1, 4]",
        "1.25", "0.004; Holm: 0.012", "3 seeds, 50 problems", "2.7M parameters", "+3 points",
        "the interval lies above 0", "more seeds", "claimed: above 3", "<code>run_ablation --config x</code>",
        "class=\"interval\"", "href=\"#claim-one\""})
    CHECK_THAT(markup, ContainsSubstring(words));
}

TEST_CASE("negative results stand first") {
  const std::vector<ClaimResult> claims{
      claim_of("a", ClaimVerdict::no_data), claim_of("b", ClaimVerdict::holds),
      claim_of("c", ClaimVerdict::not_shown), claim_of("d", ClaimVerdict::does_not_hold)};
  const std::string markup = claims_section(&claims).markup();
  size_t last = 0;
  for (const char* id : {"d", "c", "b", "a"}) {
    const size_t place =
        markup.find("<article class=", markup.find(std::string("id=\"claim-") + id + "\"") - 60);
    CHECK(place > last);
    last = place;
  }
  CHECK_THAT(markup,
             ContainsSubstring("4 claims. does not hold here: 1; not shown: 1; holds here: 1; no data: 1."));
}

TEST_CASE("a claim's parts have their own numbers and verdicts") {
  ClaimResult whole = claim_of("w", ClaimVerdict::does_not_hold);
  whole.effect = {};
  whole.parts = {claim_of("p", ClaimVerdict::holds), claim_of("q", ClaimVerdict::does_not_hold)};
  whole.parts[1].experiment = "another place";
  const std::vector<ClaimResult> claims{whole};
  const std::string markup = claims_section(&claims).markup();
  CHECK_THAT(markup, ContainsSubstring("another place"));
  CHECK_THAT(markup, ContainsSubstring("adjusted by Holm for all tests of these claims, is at most 0.05"));
  CHECK_THAT(markup, ContainsSubstring("Why, part by part"));
  CHECK(markup.find("NaN") == std::string::npos);
  CHECK(markup.find("nan") == std::string::npos);
}

TEST_CASE("the intervals of a claim's parts in one unit share a scale") {
  ClaimResult whole = claim_of("w", ClaimVerdict::holds);
  whole.parts = {claim_of("p", ClaimVerdict::holds), claim_of("q", ClaimVerdict::holds),
                 claim_of("r", ClaimVerdict::holds)};
  whole.parts[1].effect = {.value = 50, .low = 4, .high = 96, .n = 3};
  whole.parts[2].unit = "nats per token";
  const std::vector<ClaimResult> claims{whole};
  const std::string markup = claims_section(&claims).markup();
  // Of 0 … 96 points 4 are a 24th of 192; of 0 … 4 nats they are all of it.
  CHECK_THAT(markup, ContainsSubstring("d=\"M36.0 32H42.0"));
  CHECK_THAT(markup, ContainsSubstring("d=\"M42.0 32H226.0"));
  CHECK_THAT(markup, ContainsSubstring("d=\"M82.0 32H226.0"));
}

TEST_CASE("without a claims file, and with an empty one, a sentence says so") {
  CHECK_THAT(claims_section(nullptr).markup(), ContainsSubstring("give their file with --claims"));
  const std::vector<ClaimResult> none;
  CHECK_THAT(claims_section(&none).markup(), ContainsSubstring("holds no claim"));
}
