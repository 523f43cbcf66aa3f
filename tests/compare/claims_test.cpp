// Claims about arms: each verdict of each expectation, parts, Holm, and what is said where there is no data.
#include "compare/claims.h"

#include <cmath>

#include "claims_support.h"
#include "compare/claims_format.h"

namespace attnlab {
namespace {

using namespace test;

std::string heldout(const std::string& expectation, const std::string& arm = "mla") {
  return "- runs: {experiment: e*, arm: " + arm + ", against: gqa, metric: heldout_loss, " + expectation + "}";
}

// Differences to gqa: -0.21, -0.20, -0.19, mean -0.2, s = 0.01, half width 4.302652730 * 0.01 / √3 = 0.024841.
const std::vector<double> clearly_lower{0.79, 0.8, 0.81};
// -0.3, -0.2, -0.1: half width 0.24841, so that the interval holds 0.
const std::vector<double> perhaps_lower{0.7, 0.8, 0.9};

ClaimVerdict verdict_on(const std::vector<double>& losses, const std::string& expectation) {
  return judge_tests(heldout(expectation), arm_against_gqa("mla", losses)).verdict;
}

TEST_CASE("a claim on losses carries its number, interval, effect size and scale") {
  const auto result = judge_tests(heldout("expect: lower"), arm_against_gqa("mla", perhaps_lower));
  CHECK(result.id == "c");
  CHECK(result.sentence == "S");
  CHECK(result.claimed == "C");
  CHECK(result.experiment == "e");
  CHECK(result.comparison == "mla minus gqa, held-out loss");
  CHECK(result.unit == "nats per token");
  CHECK(result.effect.value == Approx(-0.2));
  CHECK(result.effect.half_width() == Approx(0.24841).epsilon(1e-4));
  CHECK(result.effect_size == Approx(-2));
  CHECK(result.p == Approx(0.0741799).epsilon(1e-5));  // Student's, 2 degrees of freedom, t = -2 √3
  CHECK(result.seeds == 3);
  CHECK(result.scale == "2.70M parameters, 200.00k tokens, a card");
  CHECK(result.verdict == ClaimVerdict::not_shown);
  CHECK(result.why == "the interval holds 0");
  CHECK(result.parts.empty());
}

TEST_CASE("the whole interval must lie on the claimed side") {
  CHECK(verdict_on(clearly_lower, "expect: lower") == ClaimVerdict::holds);
  CHECK(verdict_on(clearly_lower, "expect: higher") == ClaimVerdict::does_not_hold);
  CHECK(verdict_on(perhaps_lower, "expect: lower") == ClaimVerdict::not_shown);
  CHECK(verdict_on({1.1, 1.2, 1.3}, "expect: lower") == ClaimVerdict::not_shown);
  CHECK(verdict_on({1.19, 1.2, 1.21}, "expect: lower") == ClaimVerdict::does_not_hold);
  CHECK(verdict_on({1.19, 1.2, 1.21}, "expect: higher") == ClaimVerdict::holds);
  CHECK(judge_tests(heldout("expect: lower"), arm_against_gqa("mla", {1.19, 1.2, 1.21})).why ==
        "the interval lies above 0: the other way round");
}

TEST_CASE("where a number is claimed the interval must lie beyond it") {
  CHECK(verdict_on(clearly_lower, "expect: lower, by: 0.17") == ClaimVerdict::holds);
  CHECK(verdict_on(clearly_lower, "expect: lower, by: 0.19") == ClaimVerdict::not_shown);
  CHECK(verdict_on(clearly_lower, "expect: lower, by: 0.23") == ClaimVerdict::does_not_hold);
  const auto short_of_it =
      judge_tests(heldout("expect: lower, by: 0.23"), arm_against_gqa("mla", clearly_lower));
  CHECK(short_of_it.why == "the interval lies above -0.23");
  // t = (-0.2 + 0.23) / (0.01 / √3) = 5.19615, two-sided with 2 degrees of freedom
  CHECK(short_of_it.p == Approx(0.0350987).epsilon(1e-4));
}

TEST_CASE("equal and not higher need the interval inside their bound") {
  CHECK(verdict_on(clearly_lower, "expect: equal, within: 0.3") == ClaimVerdict::holds);
  CHECK(verdict_on(clearly_lower, "expect: equal, within: 0.21") == ClaimVerdict::not_shown);
  CHECK(verdict_on(clearly_lower, "expect: equal, within: 0.1") == ClaimVerdict::does_not_hold);
  CHECK(verdict_on(clearly_lower, "expect: not_higher, within: 0.01") == ClaimVerdict::holds);
  CHECK(verdict_on(clearly_lower, "expect: not_lower, within: 0.1") == ClaimVerdict::does_not_hold);
  CHECK(verdict_on(perhaps_lower, "expect: not_lower, within: 0.1") == ClaimVerdict::not_shown);
  // TOST: the larger one-sided p, here that of the mean above -0.3: t = 0.1 / (0.01 / √3) = 17.3205
  const auto equal = judge_tests(heldout("expect: equal, within: 0.3"), arm_against_gqa("mla", clearly_lower));
  CHECK(equal.p == Approx(0.00165838).epsilon(1e-3));
  // Outside: two-sided at the nearer border, t = -0.1 / (0.01 / √3).
  const auto outside =
      judge_tests(heldout("expect: equal, within: 0.1"), arm_against_gqa("mla", clearly_lower));
  CHECK(outside.p == Approx(2 * 0.00165838).epsilon(1e-3));
}

TEST_CASE("one seed shows nothing, and seeds that are not shared do not count") {
  auto runs = arm_against_gqa("mla", {0.5});
  auto result = judge_tests(heldout("expect: lower"), runs);
  CHECK(result.verdict == ClaimVerdict::not_shown);
  CHECK(result.why == "one seed tells nothing of the scatter over seeds");
  CHECK(result.effect.value == Approx(-0.5));
  runs[1].header.seed = 7;
  result = judge_tests(heldout("expect: lower"), runs);
  CHECK(result.verdict == ClaimVerdict::not_shown);
  CHECK(result.why == "the arms have no seed in common");
}

TEST_CASE("a smaller gain is judged over the seeds that all three arms have") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  for (const auto& run : arm_against_gqa("identity", {0.93, 0.95, 0.97, 0})) runs.push_back(run);
  const std::string test = heldout("expect: smaller_gain, than: mla", "identity");
  const auto result = judge_tests(test, runs);
  CHECK(result.seeds == 3);  // the fourth seed of identity would turn it round
  CHECK(result.effect.value == Approx(-0.15));
  CHECK(result.comparison == "gain of identity over gqa minus gain of mla over gqa, held-out loss");
  CHECK(result.verdict == ClaimVerdict::holds);
  CHECK(judge_tests(heldout("expect: smaller_gain, than: identity"), runs).verdict ==
        ClaimVerdict::does_not_hold);
}

TEST_CASE("accuracy is told in points, and a gain in it is a rise") {
  std::vector<RunRecord> runs;
  for (int64_t seed = 0; seed < 3; ++seed) {
    const double luck = 0.025 * static_cast<double>(seed);  // a problem more with each seed
    runs.push_back(claim_run({.arm = "gqa", .seed = seed, .accuracy = 0.25}));
    runs.push_back(claim_run({.arm = "identity", .seed = seed, .accuracy = 0.6 + luck}));
    runs.push_back(claim_run({.arm = "mla", .seed = seed, .accuracy = 1}));
  }
  const std::string head = "- runs: {experiment: e, against: gqa, metric: accuracy, arm: identity, ";
  auto result = judge_tests(head + "expect: higher}", runs);
  CHECK(result.effect.value == Approx(37.5));
  CHECK(result.effect.low > 15);  // 15 of 40 problems: no seed makes others of them
  CHECK(result.effect.high < 60);
  CHECK(result.effect_size == Approx(15));  // (14, 15, 16) / 40
  CHECK(result.p < 0.001);
  CHECK(result.unit == "points");
  CHECK(result.problems == 40);
  CHECK(result.verdict == ClaimVerdict::holds);
  result = judge_tests(head + "expect: smaller_gain, than: mla}", runs);
  CHECK(result.effect.value == Approx(-37.5));
  CHECK(result.verdict == ClaimVerdict::holds);
}

TEST_CASE("a part tells the borders of what is claimed") {
  const auto runs = arm_against_gqa("mla", clearly_lower);
  const auto lower = judge_tests(heldout("expect: lower, by: 0.01"), runs);
  CHECK(lower.claimed_high == -0.01);
  CHECK(std::isinf(lower.claimed_low));
  const auto equal = judge_tests(heldout("expect: equal, within: 0.5"), runs);
  CHECK(equal.claimed_low == -0.5);
  CHECK(equal.claimed_high == 0.5);
}

TEST_CASE("a difference in what arms train is told beside the verdict") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  for (auto& run : runs)
    if (run.header.arm == "mla") run.header.parameters_trainable = 77'000;
  CHECK(judge_tests(heldout("expect: lower"), runs).why ==
        "the interval lies below 0; mla trains 10.0 % more parameters than gqa");
}

TEST_CASE("each experiment and sweep point is a part, and one that fails makes the claim fail") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  for (const auto& run : arm_against_gqa("mla", clearly_lower, "e2")) runs.push_back(run);
  auto result = judge_tests(heldout("expect: lower"), runs);
  REQUIRE(result.parts.size() == 2);
  CHECK(result.verdict == ClaimVerdict::holds);
  CHECK(result.parts[1].experiment == "e2");
  CHECK(result.parts[1].id == "c");
  CHECK(result.seeds == 3);
  for (const auto& run : arm_against_gqa("mla", perhaps_lower, "e3")) runs.push_back(run);
  CHECK(judge_tests(heldout("expect: lower"), runs).verdict == ClaimVerdict::not_shown);
  for (auto run : arm_against_gqa("mla", {1.19, 1.2, 1.21}, "e3")) {
    run.header.sweep_point = "lr=1";
    runs.push_back(run);
  }
  result = judge_tests(heldout("expect: lower"), runs);
  CHECK(result.verdict == ClaimVerdict::does_not_hold);
  CHECK(result.why ==
        "holds here in 2 of 4 parts, does not hold here in 1 of 4 parts, not shown in 1 of 4 parts");
  CHECK(result.parts[3].experiment == "e3, lr=1");
  CHECK(judge_tests(heldout("expect: lower, sweep_point: \"\""), runs).parts.size() == 3);
}

TEST_CASE("a test without data keeps a claim from holding unless it is optional") {
  const auto runs = arm_against_gqa("mla", clearly_lower);
  const std::string absent =
      "runs: {experiment: other, arm: mla, against: gqa, metric: accuracy, expect: higher}";
  const std::string present = heldout("expect: lower") + "\n";
  auto result = judge_tests(present + "- " + absent, runs);
  CHECK(result.verdict == ClaimVerdict::not_shown);
  CHECK(result.why == "holds here in 1 of 2 parts, no data in 1 of 2 parts");
  result = judge_tests(present + "- optional: true\n  " + absent, runs);
  CHECK(result.verdict == ClaimVerdict::holds);
  CHECK(result.parts.empty());
  CHECK(judge_tests("- optional: true\n  " + absent, runs).verdict == ClaimVerdict::no_data);
}

TEST_CASE("no data is told with what there is instead") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  auto result = judge_tests(heldout("expect: lower", "other"), runs);
  CHECK(result.verdict == ClaimVerdict::no_data);
  CHECK(result.why == "there is no finished run of arm 'other', only of gqa, mla");
  runs[0].evaluations.clear();
  CHECK(judge_tests(heldout("expect: lower"), runs).why == "held-out loss was not measured in e/gqa//seed0.h5");
  for (auto& run : runs) run.state = RunState::running;
  result = judge_tests(heldout("expect: lower"), runs);
  CHECK(result.verdict == ClaimVerdict::no_data);
  CHECK(result.why == "there is no finished run of such an experiment");
}

TEST_CASE("runs that chose a learning rate, and the same run given twice, do not count") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  auto selection = claim_run({.arm = "mla", .seed = 3, .heldout_loss = 5});
  selection.header.config = {{"purpose", std::string("learning rate selection")}};
  runs.push_back(selection);
  runs.push_back(claim_run({.arm = "gqa", .seed = 3}));
  runs.push_back(runs[0]);
  CHECK(judge_tests(heldout("expect: lower"), runs).effect.value == Approx(-0.2));
}

TEST_CASE("a loss that is not finite shows nothing") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  runs[1].evaluations.back().heldout_loss = std::nan("");
  const auto result = judge_tests(heldout("expect: lower"), runs);
  CHECK(result.verdict == ClaimVerdict::not_shown);
  CHECK(result.why == "a value is not finite");
}

TEST_CASE("p is adjusted over all parts of all claims") {
  const auto lower = arm_against_gqa("mla", clearly_lower);
  auto runs = lower;
  for (const auto& run : arm_against_gqa("mla", perhaps_lower, "e2")) runs.push_back(run);
  const auto claims =
      judge_text(claim_text("a", heldout("expect: lower")) +
                     claim_text("b", "- conversion_logits: {experiment: e, arm: mla, below: 1e-3}"),
                 runs);
  REQUIRE(claims.at(0).parts.size() == 2);
  const auto& [first, second] = std::tie(claims[0].parts[0], claims[0].parts[1]);
  // t = -20 √3 = -34.641, 2 degrees of freedom
  CHECK(first.p == Approx(0.00083229).epsilon(1e-3));
  CHECK(first.p_holm == Approx(2 * first.p));
  CHECK(second.p_holm == Approx(second.p));
  CHECK(std::isnan(claims[0].p_holm));
  CHECK(std::isnan(claims[1].p_holm));
}

TEST_CASE("a verdict that does not outlive the correction is not shown, and says so") {
  // Differences of mean -0.2 and s = 0.07: half width 0.17389, p = 0.0387; of two tests the smaller counts
  // twice.
  const auto runs = arm_against_gqa("mla", {0.73, 0.8, 0.87});
  const auto claims =
      judge_text(claim_text("a", heldout("expect: lower")) + claim_text("b", heldout("expect: higher")), runs);
  CHECK(judge_tests(heldout("expect: lower"), runs).verdict == ClaimVerdict::holds);  // alone
  CHECK(claims.at(0).verdict == ClaimVerdict::not_shown);
  CHECK(claims.at(1).verdict == ClaimVerdict::not_shown);
  CHECK(claims.at(0).p_holm == Approx(2 * claims[0].p));
  CHECK_THAT(claims.at(0).why, ContainsSubstring("but p is 0.077 once it counts as one of 2 tests"));
}

TEST_CASE("conversions are judged by the run that strays most") {
  std::vector<RunRecord> runs{claim_run({.arm = "mla", .max_logit_difference = 2e-5}),
                              claim_run({.arm = "mla", .seed = 1, .max_logit_difference = 4e-5})};
  runs.push_back(runs[0]);  // a folder that was given twice
  const std::string test = "- conversion_logits: {experiment: e, arm: mla, below: ";
  auto result = judge_tests(test + "1e-4}", runs);
  CHECK(result.verdict == ClaimVerdict::holds);
  CHECK(result.effect.value == 4e-5);
  CHECK_FALSE(result.effect.has_ends());
  CHECK(result.unit == "logits");
  CHECK(result.why == "the largest of 2 runs is below 0.0001");
  CHECK(judge_tests(test + "3e-5}", runs).verdict == ClaimVerdict::does_not_hold);
  result = judge_tests(test + "1, value: kl_divergence}", runs);
  CHECK(result.verdict == ClaimVerdict::no_data);
  CHECK(result.why == "the runs' files do not tell it");
  CHECK(judge_tests("- conversion_logits: {experiment: e, arm: gqa, below: 1}", runs).why ==
        "there is no finished run of arm 'gqa', only of mla");
}

// Writes an evaluation of `n` problems on a task, the first `right` of them solved, beside the run.
void add_task(RunRecord& run, const std::filesystem::path& folder, const std::string& task, int64_t right) {
  run.path = folder / run.path;
  std::filesystem::create_directories(run.path.parent_path());
  TaskRecord record{.label = task};
  std::vector<JudgementRow> rows;
  for (int64_t i = 0; i < 40; ++i) rows.push_back({.problem = i, .correct = i < right ? 1 : 0});
  record.judgements.emplace_back("exact", rows);
  write_evaluation(tasks_file(run.path, run.last_step), {.tasks = {record}});
}

TEST_CASE("tasks are compared over seeds and problems, each task in a part of its own") {
  TemporaryFolder folder;
  auto runs = arm_against_gqa("mla", {1, 1, 1});
  for (auto& run : runs) add_task(run, folder.path(), "gsm8k", run.header.arm == "gqa" ? 10 : 30);
  const std::string test = "- runs: {experiment: e, arm: mla, against: gqa, expect: higher, metric: ";
  auto result = judge_tests(test + "\"gsm8k*, accuracy\"}", runs);
  REQUIRE(result.parts.size() == 2);
  const auto& task = result.parts[0];
  CHECK(task.comparison == "mla minus gqa, gsm8k, exact");
  CHECK(task.effect.value == Approx(50));
  CHECK(task.unit == "points");
  CHECK(task.problems == 40);
  CHECK(task.seeds == 3);
  CHECK(task.verdict == ClaimVerdict::holds);
  CHECK(task.p < 0.01);
  CHECK(result.verdict == ClaimVerdict::not_shown);  // accuracies are equal
  result = judge_tests(test + "humaneval}", runs);
  CHECK(result.verdict == ClaimVerdict::no_data);
  CHECK(result.why == "no run was evaluated on a task 'humaneval', only on gsm8k");
  runs.resize(2);
  CHECK(judge_tests(test + "gsm8k}", runs).verdict == ClaimVerdict::not_shown);
}

TEST_CASE("the table names failures first, and tells what would be needed") {
  const auto runs = arm_against_gqa("mla", clearly_lower);
  const auto claims = judge_text(
      claim_text("good", heldout("expect: lower")) + claim_text("bad", heldout("expect: higher")), runs);
  const std::string text = format_claims(claims, TableStyle::text);
  CHECK(text.find("bad ") < text.find("good "));
  CHECK_THAT(text, ContainsSubstring("[-0.2248, -0.1752]") && ContainsSubstring("does not hold here") &&
                       ContainsSubstring("needed: N"));
  CHECK_THAT(format_claims(claims, TableStyle::markdown),
             ContainsSubstring("| good | -0.2 | nats per token |") &&
                 ContainsSubstring("- **bad**: S (P); claimed: C"));
  CHECK(format_claims({}, TableStyle::text).empty());
}

TEST_CASE("the table tells why of each part") {
  auto runs = arm_against_gqa("mla", clearly_lower);
  for (const auto& run : arm_against_gqa("mla", perhaps_lower, "e2")) runs.push_back(run);
  const auto claims = judge_text(claim_text("c", heldout("expect: lower")), runs);
  const std::string text = format_claims(claims, TableStyle::text);
  CHECK_THAT(
      text, ContainsSubstring("\n  part 2 ") &&
                ContainsSubstring("part 2, e2: mla minus gqa, held-out loss: not shown: the interval holds 0"));
  CHECK_THAT(format_claims(claims, TableStyle::markdown), ContainsSubstring("\n  - part 1, e: mla minus gqa"));
}

TEST_CASE("the project's own claims can be read, and lack data where there is none") {
  const auto claims = judge_claims(source_dir() / "experiments" / "claims.yaml", {{}, {}});
  CHECK(claims.size() > 10);
  for (const auto& claim : claims) {
    INFO(claim.id);
    CHECK(claim.verdict == ClaimVerdict::no_data);
    CHECK_FALSE(claim.command.empty());
  }
}

}  // namespace
}  // namespace attnlab
