// Claims that are planned: their config, what a plan can show, and what runs say of them.
#include "claims_support.h"
#include "compare/planned_verdict.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

using test::claim_run;

ClaimsConfig read(const std::string& yaml) {
  return read_planned_claims(parse_yaml(yaml, "exp.yaml"), {"gqa", "mla"});
}

std::string plan_refusal(const std::string& yaml) {
  try {
    read(yaml);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

const std::string item = "{id: c, metric: heldout_loss, arm: mla, against: gqa, expect: lower, matters: 0.01}";

std::string claim_with(const std::string& from, const std::string& to) {
  std::string text = item;
  return "list:\n  - " + text.replace(text.find(from), from.size(), to);
}

SealedClaims sealed_with(const std::string& list, std::vector<int64_t> seeds = {0, 1, 2}) {
  return {
      .experiment = "e", .seeds = std::move(seeds), .sweep_points = {""}, .claims = read("list:\n  - " + list)};
}

// Runs of gqa at a loss of 1 and of mla at these, which carry the plan's hash or another.
std::vector<RunRecord> planned_runs(const std::vector<double>& losses, const std::string& hash) {
  std::vector<RunRecord> runs = test::arm_against_gqa("mla", losses);
  for (auto& run : runs) run.header.provenance.emplace_back(plan_hash_key, hash);
  return runs;
}

std::string hash_of(const SealedClaims& sealed) { return sha256(seal_text(sealed)); }

TEST_CASE("planned claims: keys that are missing, unknown or wrong") {
  CHECK(plan_refusal("list:\n  - " + item) == "accepted");
  CHECK_THAT(plan_refusal("{alpha: 0.05}"), ContainsSubstring("claims.list: found nothing"));
  CHECK_THAT(plan_refusal(claim_with("matters: 0.01", "matters: 0.01, matter: 1")),
             ContainsSubstring("claims.list[0].matter: found an unknown key") &&
                 ContainsSubstring("did you mean 'matters'?"));
  CHECK_THAT(plan_refusal(claim_with("matters: 0.01", "matters: 0")), ContainsSubstring("a number above 0"));
  CHECK_THAT(plan_refusal(claim_with(", expect: lower", "")), ContainsSubstring("expect: found nothing"));
  CHECK_THAT(plan_refusal(claim_with("expect: lower", "expect: better")),
             ContainsSubstring("expected one of lower, higher, not_higher, not_lower, equal"));
  CHECK_THAT(plan_refusal(claim_with("arm: mla", "arm: mlla")),
             ContainsSubstring("exp.yaml:2: claims.list[0].arm: found 'mlla'") &&
                 ContainsSubstring("did you mean 'mla'?"));
  CHECK_THAT(plan_refusal(claim_with("against: gqa", "against: mla")), ContainsSubstring("the arm itself"));
  CHECK_THAT(plan_refusal(claim_with("matters: 0.01", "matters: 0.01, rest_sd: 2")),
             ContainsSubstring("none with a loss"));
  CHECK_THAT(
      plan_refusal("list:\n  - {id: c, metric: accuracy, arm: mla, against: gqa, expect: lower, matters: 100}"),
      ContainsSubstring("points below 100"));
  CHECK_THAT(plan_refusal("list:\n  - " + item + "\n  - " + item), ContainsSubstring("'c' again"));
  CHECK_THAT(plan_refusal("{add: [same_trainning], list: [" + item + "]}"),
             ContainsSubstring("claims.add") && ContainsSubstring("did you mean 'same_training'?"));
  CHECK_THAT(plan_refusal("{add: [fresh_seeds], list: [" + item + "]}"),
             ContainsSubstring("--dry-run says how"));
  CHECK_THAT(plan_refusal("{power: 1, list: [" + item + "]}"), ContainsSubstring("claims.power"));
}

TEST_CASE("a sealed plan reads back as it was, and another plan has another hash") {
  const SealedClaims sealed = sealed_with(item);
  const SealedClaims again = read_sealed(seal_text(sealed), "text");
  CHECK(fields_equal(sealed, again));
  SealedClaims other = sealed;
  other.claims.list[0].matters = 0.011;
  CHECK(hash_of(other) != hash_of(sealed));
  other = sealed;
  other.seeds.push_back(3);
  CHECK(hash_of(other) != hash_of(sealed));
}

TEST_CASE("claims at all sweep points share alpha") {
  SealedClaims sealed = sealed_with(item);
  sealed.sweep_points = {"lr=1", "lr=2"};
  CHECK(sealed.alpha_of(sealed.claims.list[0]) == Approx(0.025));
}

TEST_CASE("a plan says which seeds a loss needs, by what earlier runs scattered or as assumed") {
  SealedClaims sealed = sealed_with(item);
  const auto plan = [&](const std::vector<RunRecord>& earlier) {
    return compile_claim(sealed, sealed.claims.list[0], {.seeds = 3}, earlier);
  };
  // Assumed: a standard deviation as large as what matters, for which statsmodels has 10 seeds.
  CHECK(plan({}).needed == "10 seeds");
  CHECK_THAT(plan({}).source, ContainsSubstring("assumed; nothing was measured"));
  CHECK(plan({}).power == Approx(0.179255393776552));
  sealed.claims.list[0].seed_sd = 0.02;
  CHECK(plan({}).needed == "34 seeds");
  CHECK_THAT(plan({}).source, ContainsSubstring("as the config assumes"));
  // Differences 0, 0.01, 0.02: a deviation of 0.01.
  sealed.claims.earlier = "results/pilot";
  const auto measured = plan(planned_runs({1, 1.01, 1.02}, ""));
  CHECK(measured.needed == "10 seeds");
  CHECK_THAT(measured.source, ContainsSubstring("measured on 3 seeds of results/pilot") &&
                                  ContainsSubstring("at the upper end"));
  REQUIRE(measured.detectable.has_value());
  ClaimDesign at = measured.design;
  at.matters = *measured.detectable;
  CHECK(claim_power(at) == Approx(0.8).margin(2e-3));
}

TEST_CASE("a plan of problems says what neither seeds nor problems alone can show") {
  ClaimDesign design{.is_loss = false,
                     .spread = {.seed = 0.02 * 0.02, .problem = 0.09, .rest = 0.09},
                     .design = {.seeds = 3, .problems = 50},
                     .matters = 0.05};
  CHECK(needs_text(design) == "seeds and problems: no number of one alone is enough");
  design.design = {.seeds = 3, .problems = 400};
  CHECK_THAT(needs_text(design), ContainsSubstring(" seeds"));
  const auto seeds = needs_of(design).seeds;
  REQUIRE(seeds.has_value());
  design.design.seeds = *seeds;
  CHECK(claim_power(design) >= 0.8);
  design.spread.sampling = 0.2;
  CHECK_FALSE(claim_power(design) >= 0.8);
  CHECK(needs_of(design).samples.value_or(0) > 1);
}

TEST_CASE("words of planned claims, by losses") {
  const SealedClaims lower = sealed_with(item);
  const auto word = [](const SealedClaims& sealed, const std::vector<double>& losses) {
    return judge_planned(sealed, planned_runs(losses, hash_of(sealed))).at(0);
  };
  CHECK(word(lower, {0.9, 0.91, 0.92}).word == ClaimWord::supported);
  CHECK(word(lower, {1.1, 1.11, 1.12}).word == ClaimWord::refuted);
  CHECK(word(lower, {0.995, 0.996, 0.997}).word == ClaimWord::equivalent);
  const auto open = word(lower, {0.9, 1.0, 1.1});
  CHECK(open.word == ClaimWord::inconclusive);
  CHECK_THAT(open.needed, ContainsSubstring("787 seeds"));  // statsmodels: effect 0.1, α 0.05, power 0.8
  CHECK(word(lower, {0.9}).why == "one seed tells nothing of the scatter over seeds");
}

TEST_CASE("the interval of a planned claim is at its share of alpha") {
  SealedClaims sealed = sealed_with(item + "\n  - " + claim_with("id: c", "id: d").substr(10));
  const auto results = judge_planned(sealed, planned_runs({0.9, 0.91, 0.92}, hash_of(sealed)));
  REQUIRE(results.size() == 2);
  CHECK(results[0].confidence == Approx(0.975));
  const std::vector<double> differences{-0.1, -0.09, -0.08};
  CHECK(results[0].difference.low == Approx(mean_interval(differences, 0.975).low));
}

TEST_CASE("a verdict says whether it was planned before the data") {
  const SealedClaims sealed = sealed_with(item);
  auto runs = planned_runs({0.9, 0.91, 0.92}, hash_of(sealed));
  CHECK(judge_planned(sealed, runs)[0].planned == "before the data");
  runs[0].header.provenance.clear();
  CHECK(judge_planned(sealed, runs)[0].planned == "after the data: 5 of 6 runs carry this plan");
  CHECK_FALSE(judge_planned(sealed, runs)[0].planned_before);
}

TEST_CASE("runs carry their plan, and seeds that it does not name are left out") {
  const SealedClaims sealed = sealed_with(item);
  auto runs = planned_runs({0.9, 0.91, 0.92, 5}, hash_of(sealed));
  CHECK(judge_planned(runs).empty());
  for (auto& run : runs) run.header.provenance.emplace_back(plan_text_key, seal_text(sealed));
  const auto results = judge_planned(runs);
  REQUIRE(results.size() == 1);
  CHECK(results[0].seeds == 3);
  CHECK(results[0].word == ClaimWord::supported);
  CHECK_THAT(format_planned(results, TableStyle::text),
             ContainsSubstring("supported") && ContainsSubstring("planned before the data"));
  CHECK(format_planned({}, TableStyle::text).empty());
}

TEST_CASE("a planned claim about accuracy is told in points") {
  SealedClaims sealed =
      sealed_with("{id: c, metric: accuracy, arm: mla, against: gqa, expect: higher, matters: 2}", {0, 1});
  std::vector<RunRecord> runs;
  for (const int64_t seed : {0, 1}) {
    runs.push_back(claim_run({.arm = "gqa", .seed = seed, .accuracy = 0.25}));
    runs.push_back(claim_run({.arm = "mla", .seed = seed, .accuracy = 0.75}));
  }
  const auto result = judge_planned(sealed, runs).at(0);
  CHECK(result.difference.value == Approx(50));
  CHECK(result.problems == 40);
  CHECK(result.word == ClaimWord::supported);
  CHECK(result.planned == "after the data: 0 of 4 runs carry this plan");
}

TEST_CASE("a claims file's test that says what matters may be equivalent, or is told what would show it") {
  const std::string test =
      "- runs: {experiment: e, arm: mla, against: gqa, metric: heldout_loss, expect: lower, matters: 0.01}";
  const auto judged = [&](const std::vector<double>& losses) {
    return test::judge_tests(test, test::arm_against_gqa("mla", losses));
  };
  CHECK(judged({0.9951, 0.9952, 0.9953}).verdict == ClaimVerdict::equivalent);
  CHECK(judged({0.99, 1.0, 1.01}).verdict == ClaimVerdict::not_shown);
  CHECK_THAT(judged({0.99, 1.0, 1.01}).why,
             ContainsSubstring("a difference of 0.01 would be shown with 10 seeds"));
  CHECK(judged({0.9, 0.91, 0.92}).verdict == ClaimVerdict::holds);
}

TEST_CASE("arms without runs are named") {
  const SealedClaims sealed = sealed_with(item);
  const auto result = judge_planned(sealed, {}).at(0);
  CHECK(result.word == ClaimWord::inconclusive);
  CHECK(result.planned == "there are no data");
  CHECK_FALSE(result.why.empty());
}

}  // namespace
}  // namespace attnlab
