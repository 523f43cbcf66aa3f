// What a verdict says of training itself: arms that it made worse, rates at the edge of a sweep.
#include "compare/training_effect.h"

#include <cmath>

#include "catch.h"
#include "compare/verdict.h"
#include "finished_run.h"

namespace attnlab {
namespace {

RunRecord run_of(int64_t seed, const std::string& sweep_point, double rate) {
  RunRecord run = test::finished_run(
      {.experiment = "e", .arm = "a", .sweep_point = sweep_point, .seed = seed, .parameters_trainable = 70'000},
      20);
  run.header.config = {{"train.lr", rate}};
  return run;
}

struct Score {
  double loss = 0, accuracy = 0;
};

RunRecord trained(int64_t seed, const Score& before, const Score& after) {
  RunRecord run = run_of(seed, "", 0.01);
  for (const auto& [step, score] : {std::pair{int64_t{0}, before}, {int64_t{20}, after}}) {
    run.evaluations.push_back({.step = step,
                               .heldout_loss = score.loss,
                               .heldout_tokens = 9,
                               .accuracy = score.accuracy,
                               .problems = 20});
    test::add_answers(run, step, 20, score.accuracy);
  }
  return run;
}

TEST_CASE("an arm that ends worse than before training is named") {
  std::vector<RunRecord> runs{trained(0, {1, 0.85}, {2, 0.3}), trained(1, {1, 0.85}, {2.1, 0.35})};
  CHECK(compare_arms(runs).warnings ==
        std::vector<std::string>{
            "a ends worse than before training: accuracy 85.00 % before, 32.50 % after; held-out loss 1.0000 "
            "before, 2.0500 after (train.lr 0.01)"});
  // One problem fewer is not shown to be worse, and a lower loss is better.
  runs = {trained(0, {1, 0.85}, {0.8, 0.8}), trained(1, {1, 0.85}, {0.9, 0.8})};
  CHECK(compare_arms(runs).warnings.empty());
  for (auto& run : runs) run.evaluations.erase(run.evaluations.begin());
  CHECK(compare_arms(runs).warnings.empty());  // not measured before training
  // Two seeds have an interval as wide as this; what all of them show is told all the same.
  runs = {trained(0, {1, 0.5}, {1.01, 0.5}), trained(1, {1, 0.5}, {1.5, 0.5})};
  CHECK(compare_arms(runs).warnings.size() == 1);
  runs = {trained(0, {1, 0.5}, {0.99, 0.5}), trained(1, {1, 0.5}, {1.5, 0.5})};
  CHECK(compare_arms(runs).warnings.empty());
  // One seed: its loss is what it is.
  CHECK(compare_arms({trained(0, {1, 0.5}, {1.1, 0.5})}).warnings ==
        std::vector<std::string>{
            "a ends worse than before training: held-out loss 1.0000 before, 1.1000 after (train.lr 0.01)"});
}

std::vector<std::string> warnings_of_sweep(const std::vector<double>& losses) {
  std::vector<RunRecord> runs;
  for (size_t i = 0; i < losses.size(); ++i) {
    const double rate = std::pow(10, static_cast<double>(i) - 4);
    runs.push_back(run_of(0, "train.lr=1e-" + std::to_string(4 - i), rate));
    runs.back().evaluations.push_back({.step = 20, .heldout_loss = losses[i], .heldout_tokens = 9});
  }
  return compare_arms(runs).warnings;
}

TEST_CASE("a best learning rate at the edge of a sweep is named") {
  CHECK(warnings_of_sweep({3, 2, 1}) ==
        std::vector<std::string>{
            "a: its best train.lr, 0.01, is the highest of the sweep; a higher one may be better"});
  CHECK(warnings_of_sweep({1, 2, 3}) ==
        std::vector<std::string>{
            "a: its best train.lr, 0.0001, is the lowest of the sweep; a lower one may be better"});
  CHECK(warnings_of_sweep({2, 1, 3}).empty());
}

}  // namespace
}  // namespace attnlab
