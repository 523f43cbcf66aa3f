#include "compare/signal_noise.h"

#include "claims_support.h"
#include "compare/answers.h"
#include "stats/planning.h"

namespace attnlab {
namespace {

using test::claim_run;

// Losses of arm × seed; the first arm is gqa.
std::vector<RunRecord> table_of_losses(const std::vector<std::vector<double>>& losses) {
  std::vector<RunRecord> runs;
  for (size_t arm = 0; arm < losses.size(); ++arm)
    for (size_t seed = 0; seed < losses[arm].size(); ++seed)
      runs.push_back(claim_run({.arm = arm == 0 ? "gqa" : "arm" + std::to_string(arm),
                                .seed = static_cast<int64_t>(seed),
                                .heldout_loss = losses[arm][seed]}));
  return runs;
}

const SignalNoise* row_of(const std::vector<SignalNoise>& rows, const std::string& measure) {
  for (const auto& row : rows)
    if (row.measure == measure) return &row;
  return nullptr;
}

TEST_CASE("signal and noise are the components of arms × seeds, without what a seed adds to all") {
  // Arm effects -1, 0, 1, seed effects -10, 10, and a rest of ±0.1 whose mean square is 0.03 (2 degrees).
  const auto rows = signal_over_noise(table_of_losses({{11.1, 30.9}, {12, 32}, {12.9, 33.1}}));
  const SignalNoise* row = row_of(rows, "held-out loss");
  REQUIRE(row);
  CHECK(row->arms == 3);
  CHECK(row->seeds == 2);
  // Rest: the interaction ±0.1 of two arms over two seeds: 4 · 0.01 = 0.04 over 2 degrees of freedom.
  CHECK(row->noise.value == Approx(std::sqrt(0.02)));
  // MS of arms: 2 · (1 + 0 + 1) / 2 = 2; component (2 - 0.02) / 2.
  CHECK(row->signal.value == Approx(std::sqrt(0.99)));
  CHECK(row->ratio == Approx(std::sqrt(0.99 / 0.02)));
  CHECK(row->seeds_needed == seeds_for_difference(row->ratio / std::sqrt(2.0), 0.05, 0.8));
  CHECK(signal_grid(rows).lines.size() == rows.size());
}

TEST_CASE("arms that lack a seed are left out, and one arm or one seed has no signal") {
  auto runs = table_of_losses({{1, 2}, {1.5, 2.6}, {3, 4}});
  std::erase_if(runs, [](const RunRecord& run) { return run.header.arm == "arm2" && run.header.seed == 1; });
  CHECK(row_of(signal_over_noise(runs), "held-out loss")->arms == 2);
  CHECK(signal_over_noise(table_of_losses({{1}, {2}})).empty());
  CHECK(signal_over_noise(table_of_losses({{1, 2}})).empty());
}

TEST_CASE("the mean of late evaluations takes the place of the last one") {
  RunRecord run = claim_run({.arm = "gqa", .heldout_loss = 1.2, .accuracy = 0.5});
  run.evaluations = {{.step = 0, .heldout_loss = 9, .heldout_tokens = 9, .accuracy = 0, .problems = 2},
                     {.step = 10, .heldout_loss = 2, .heldout_tokens = 9, .accuracy = 0.5, .problems = 2},
                     {.step = 20, .heldout_loss = 1, .heldout_tokens = 9, .accuracy = 1, .problems = 2}};
  run.answers = {{0, 0, 0}, {0, 1, 0}, {10, 0, 1}, {10, 1, 0}, {20, 0, 1}, {20, 1, 1}};
  const auto mean = with_late_average({run}, 5)[0];
  CHECK(metric_of(mean, Metric::heldout_loss) == 1.5);
  CHECK(metric_of(mean, Metric::accuracy) == 0.75);
  CHECK(last_answers(mean) == Answers{{0, 1.0}, {1, 0.5}});
  const auto last = with_late_average({run}, 1)[0];
  CHECK(metric_of(last, Metric::heldout_loss) == 1);
  CHECK(last_answers(last) == Answers{{0, 1.0}, {1, 1.0}});
}

}  // namespace
}  // namespace attnlab
