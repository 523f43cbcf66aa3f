// Training of a decoder whose matrices lie side by side in memory.
#include "attention/side_by_side.h"

#include "catch.h"
#include "ranks_run.h"

namespace attnlab {
namespace {

using test::distance, test::make_batch;

const TrainConfig laid_config{.steps = 30, .lr = 3e-3, .warmup_steps = 3};

std::shared_ptr<Decoder> laid_trainee(bool joined) {
  auto decoder = test::fresh(native_form(test::small_config()), {"all"});
  if (joined) lay_side_by_side(*decoder);
  return decoder;
}

TEST_CASE("matrices side by side train as matrices apart, gradients of several batches summed") {
  const auto apart = laid_trainee(false), joined = laid_trainee(true);
  TrainConfig two = laid_config;
  two.micro_batches = 2;
  Trainer a(*apart, two), b(*joined, two);
  for (int64_t step = 1; step <= 10; ++step) {
    const std::vector<Batch> batches{make_batch(2, 16, 2, step), make_batch(3, 16, 0, step + 1)};
    const auto x = a.step(step, batches), y = b.step(step, batches);
    // float32 through two layers, at losses and norms of about 1; Adam's steps of 1e-3 keep errors small.
    CHECK(std::abs(x.loss.item<double>() - y.loss.item<double>()) < 1e-4);
    CHECK(std::abs(x.gradient_norm.item<double>() / y.gradient_norm.item<double>() - 1) < 1e-3);
  }
  const auto start = laid_trainee(false);
  CHECK(distance(*apart, *joined) < 1e-3 * distance(*apart, *start));
}

TEST_CASE("the state of matrices side by side is as large as any other, and goes on bit for bit") {
  const test::TemporaryFolder folder;
  const auto apart = laid_trainee(false), first = laid_trainee(true), second = laid_trainee(true);
  Trainer a(*apart, laid_config), b(*first, laid_config), c(*second, laid_config);
  const auto batch = make_batch(4, 16, 2, 1);
  for (int64_t step = 1; step <= 5; ++step) a.step(step, {batch}), b.step(step, {batch});
  a.save(folder.path() / "apart", {.step = 5});
  b.save(folder.path() / "joined", {.step = 5});
  CHECK(std::filesystem::file_size(folder.path() / "joined") ==
        std::filesystem::file_size(folder.path() / "apart"));
  c.load(open_state(folder.path() / "joined"));
  for (int64_t step = 6; step <= 10; ++step)
    CHECK(b.step(step, {batch}).loss.item<double>() == c.step(step, {batch}).loss.item<double>());
  CHECK(distance(*first, *second) == 0);
  // A state of the one is a state of the other.
  Trainer d(*apart, laid_config);
  d.load(open_state(folder.path() / "joined"));
  const auto weights = copy_weights(*apart);
  for (const auto& [name, tensor] : weights) CHECK(tensor.isfinite().all().item<bool>());
}

// What ranks share out gets places of its own.
TEST_CASE("ranks train matrices side by side as one rank trains matrices apart, however they are shared out") {
  const std::vector<Batch> batches{make_batch(5, 12, 2, 1)};
  const auto alone = test::trained(1, test::wide_config(), batches, [] { return test::wide(); });
  REQUIRE(distance(*alone, *test::wide()) > 1e-4);
  const auto joined = [] {
    auto decoder = test::wide();
    lay_side_by_side(*decoder);
    return decoder;
  };
  for (const auto shard : {Sharded::none, Sharded::optimizer, Sharded::parameters}) {
    INFO(name_of(shard));
    TrainConfig config = test::wide_config();
    config.shard = shard;
    CHECK(distance(*test::trained(2, config, batches, joined), *alone) < 1e-13);
  }
}

TEST_CASE("layers that are computed anew give the bits of layers that are kept, matrices side by side") {
  const auto kept = laid_trainee(true), anew = laid_trainee(true);
  TrainConfig recompute = laid_config;
  recompute.activation_checkpointing = true;
  Trainer a(*kept, laid_config), b(*anew, recompute);
  const auto batch = make_batch(4, 16, 2, 1);
  for (int64_t step = 1; step <= 5; ++step)
    CHECK(a.step(step, {batch}).loss.item<double>() == b.step(step, {batch}).loss.item<double>());
  CHECK(distance(*kept, *anew) == 0);
}

}  // namespace
}  // namespace attnlab
