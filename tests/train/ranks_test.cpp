// Steps that several ranks make together.
#include <c10/core/DeviceGuard.h>

#include "attention/gqa.h"
#include "catch.h"
#include "ranks_run.h"
#include "train/gradient_sums.h"
#include "train/rank_share.h"

namespace attnlab {
namespace {

using test::batch_of_first_rank, test::distance, test::fresh, test::make_batch, test::trained, test::wide,
    test::wide_config, test::wide_with_unused, test::with_ranks;

TEST_CASE("a step's rows are dealt once, whole micro-batches where they suffice") {
  const std::vector<Batch> two{make_batch(5, 8, 2, 1), make_batch(5, 8, 2, 2)};
  for (const int64_t ranks : {2, 3, 4}) {
    int64_t rows = 0, targets = 0;
    std::vector<int64_t> ids;
    for (int64_t r = 0; r < ranks; ++r)
      for (const auto& part : share_of(two, r, ranks)) {
        rows += part.rows;
        targets += part.loss_tokens;
        CHECK(part.columns == 8);
        CHECK(static_cast<int64_t>(part.input_ids.size()) == 8 * part.rows);
        if (ranks == 2) CHECK(part.rows == 5);
      }
    CHECK(rows == 10);
    CHECK(targets == two[0].loss_tokens + two[1].loss_tokens);
  }
}

TEST_CASE("in float64 one, two and four ranks train alike: tied, untied, frozen layers, uneven rows") {
  const std::vector<Batch> batches{make_batch(5, 12, 2, 1)};
  for (const bool tied : {true, false})
    for (const auto& scopes : {std::vector<std::string>{"all"}, std::vector<std::string>{"attention_kv"}}) {
      const auto begin = [&] { return wide(scopes, tied); };
      const auto alone = trained(1, wide_config(), batches, begin);
      REQUIRE(distance(*alone, *begin()) > 1e-4);
      CHECK(distance(*trained(2, wide_config(), batches, begin), *alone) < 1e-15);
      CHECK(distance(*trained(4, wide_config(), batches, begin), *alone) < 1e-15);
    }
}

TEST_CASE("four ranks of one micro-batch are one rank of four, bit for bit") {
  std::vector<Batch> batches;
  for (int64_t m = 0; m < 4; ++m) batches.push_back(make_batch(2, 12, 2, m));
  TrainConfig config{.steps = 3, .batch_size = 2, .micro_batches = 4, .lr = 3e-3, .clip_norm = 0};
  const auto begin = [] { return fresh(Gqa::Config{}, {"all"}); };
  CHECK(distance(*trained(4, config, batches, begin), *trained(1, config, batches, begin)) == 0);
}

TEST_CASE("ranks clip by the norm of the whole gradient") {
  const std::vector<Batch> batches{make_batch(4, 12, 2, 1)};
  TrainConfig config = wide_config();
  config.clip_norm = 0.01;
  const auto begin = [] { return wide(); };
  // The norm is a float32.
  CHECK(distance(*trained(2, config, batches, begin), *trained(1, config, batches, begin)) < 1e-8);
  CHECK(distance(*trained(2, config, batches, begin), *trained(2, wide_config(), batches, begin)) > 1e-4);
}

TEST_CASE("what no rank uses stays as it is, and a rank without targets trains with the others") {
  const auto batch = batch_of_first_rank();
  TrainConfig config = wide_config();
  config.weight_decay = 0.5;
  const auto begin = wide_with_unused;
  const auto alone = trained(1, config, {batch}, begin), two = trained(2, config, {batch}, begin);
  CHECK(torch::equal(two->named_parameters()["unused"], torch::ones({3, 3}, torch::kFloat64)));
  CHECK(distance(*two, *alone) < 1e-15);
}

TEST_CASE("all ranks report the step's loss, and the norm of the summed gradient") {
  const std::vector<Batch> batches{make_batch(5, 12, 2, 1)};
  const auto measure = [&](int64_t ranks) {
    double loss = 0, norm = 0;
    with_ranks(ranks, [&](World& world) {
      const auto decoder = wide();
      Trainer trainer(*decoder, wide_config(), nullptr, world);
      const auto result = trainer.step(1, batches);
      CHECK(result.nonfinite.item<float>() == 0);
      if (!world.is_first()) return;
      loss = result.loss.item<double>();
      norm = result.gradient_norm.item<double>();
    });
    return std::pair(loss, norm);
  };
  const auto [loss, norm] = measure(1);
  for (const int64_t ranks : {2, 4}) {
    CHECK(measure(ranks).first == Approx(loss).epsilon(1e-6));
    CHECK(measure(ranks).second == Approx(norm).epsilon(1e-6));
  }
}

TEST_CASE("a gradient that is not finite at one rank changes nothing at any") {
  const auto begin = [] { return fresh(Gqa::Config{}, {"all"}); };
  with_ranks(2, [&](World& world) {
    const auto decoder = begin();
    TrainConfig config = wide_config();
    Trainer trainer(*decoder, config, nullptr, world);
    if (world.rank() == 1) {
      const torch::NoGradGuard no_grad;
      decoder->parameters()[0].fill_(std::nan(""));
    }
    CHECK(trainer.step(1, {make_batch(4, 12, 2, 1)}).nonfinite.item<float>() == 1);
    if (world.rank() == 0) CHECK(distance(*decoder, *begin()) == 0);
  });
}

TEST_CASE("buckets of any size give the same sums") {
  const auto batch = make_batch(3, 12, 2, 1);
  std::vector<std::vector<torch::Tensor>> sums;
  for (const int64_t bytes : {1, 5000, 1 << 25})
    with_ranks(2, [&](World& world) {
      const auto decoder = wide();
      std::vector<torch::Tensor> parameters = decoder->parameters();
      GradientSums gradients(parameters, world, GradientSums::To::parameters, bytes);
      const auto input =
          make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns, torch::kCPU);
      gradients.expect_last();
      (summed_loss(*decoder, input) * static_cast<double>(1 + world.rank())).backward();
      gradients.finish();
      const double squares = world.sum_small(gradients.own_squares()).item<double>();
      double expected = 0;
      std::vector<torch::Tensor> own;
      for (const auto& parameter : parameters) {
        expected += parameter.grad().square().sum().item<double>();
        own.push_back(parameter.grad().clone());
      }
      CHECK(squares == Approx(expected).epsilon(1e-6));
      if (world.is_first()) sums.push_back(own);
    });
  for (const auto& other : sums)
    for (size_t i = 0; i < other.size(); ++i) CHECK(torch::equal(other[i], sums[0][i]));
}

TEST_CASE("a state of two ranks goes on at one and at four") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "state";
  const std::vector<Batch> batches{make_batch(5, 12, 2, 1)};
  const auto begin = [] { return wide(); };
  const auto whole = trained(1, wide_config(), batches, begin, 6);
  with_ranks(2, [&](World& world) {
    const auto decoder = begin();
    Trainer trainer(*decoder, wide_config(), nullptr, world);
    for (int64_t step = 1; step <= 3; ++step) trainer.step(step, batches);
    trainer.save(path, {.step = 3, .tokens = 30, .seconds = 0.1});
  });
  for (const int64_t ranks : {1, 2, 4})
    with_ranks(ranks, [&](World& world) {
      auto decoder = wide();
      if (world.rank() == 0) decoder->to(torch::kFloat64);
      Trainer trainer(*decoder, wide_config(), nullptr, world);
      std::optional<SafetensorsFile> state;
      if (world.is_first()) state.emplace(open_state(path));
      const auto progress = trainer.load(state ? &*state : nullptr);
      CHECK(progress.step == 3);
      CHECK(progress.tokens == 30);
      CHECK(progress.seconds == 0.1);
      for (int64_t step = 4; step <= 6; ++step) trainer.step(step, batches);
      CHECK(distance(*decoder, *whole) < 1e-15);
    });
}

TEST_CASE("a sharded optimizer trains to the same bits, and its states are of any number of ranks") {
  const test::TemporaryFolder folder;
  const std::vector<Batch> batches{make_batch(4, 12, 2, 1)};
  for (const auto precision : {Precision::float32, Precision::bf16}) {
    TrainConfig config{.steps = 3, .batch_size = 4, .lr = 3e-3, .weight_decay = 0.1, .clip_norm = 0.1};
    config.precision = precision;
    TrainConfig sharded = config;
    sharded.shard = Sharded::optimizer;
    const auto begin = [&] {
      auto decoder = fresh(MlaOrthogonal::Config{}, {"all"});
      decoder->to(weight_type(precision));
      decoder->register_parameter("unused", torch::ones({70, 3}, weight_type(precision)));
      return decoder;
    };
    for (const int64_t ranks : {2, 4}) {
      INFO(ranks);
      const auto plain = trained(ranks, config, batches, begin);
      CHECK(distance(*plain, *begin()) > 1e-3);
      CHECK(distance(*trained(ranks, sharded, batches, begin), *plain) == 0);
      const auto path = folder.path() / ("state" + std::to_string(ranks));
      const auto go = [&](const TrainConfig& each, int64_t first, int64_t last, bool from_state, bool save) {
        std::shared_ptr<Decoder> model;
        with_ranks(ranks, [&](World& world) {
          const auto decoder = begin();
          Trainer trainer(*decoder, each, nullptr, world);
          std::optional<SafetensorsFile> state;
          if (from_state && world.is_first()) state.emplace(open_state(path));
          if (from_state) trainer.load(state ? &*state : nullptr);
          for (int64_t step = first; step <= last; ++step) trainer.step(step, batches);
          if (save) trainer.save(path, {.step = last});
          if (world.is_first()) model = decoder;
        });
        return model;
      };
      go(sharded, 1, 2, false, true);
      CHECK(distance(*go(config, 3, 3, true, false), *plain) == 0);
      CHECK(distance(*go(sharded, 3, 3, true, false), *plain) == 0);
    }
  }
}

TEST_CASE("what is sharded takes less memory with more ranks") {
  TrainConfig config{.precision = Precision::bf16_mixed};
  const HeldParameters all{.all = 1000, .trained = 1000, .layer = 90, .outer = 100}, half{1000, 500, 90, 100};
  CHECK(held_bytes(config, all, 1) == 16000);
  CHECK(held_bytes(config, all, 2) == 16000);
  config.shard = Sharded::optimizer;
  CHECK(held_bytes(config, all, 2) == 10000);
  config.shard = Sharded::parameters;
  CHECK(held_bytes(config, all, 2) == 8000 + 90 * (4 + 2 + 4) + 100 * 12);
  CHECK(held_bytes(config, all, 10) == 1600 + 90 * (4 + 2 + 4) + 100 * 12);
  config.shard = Sharded::optimizer;
  config.precision = Precision::bf16;
  CHECK(held_bytes(config, half, 2) == 2000 + 2500);
}

TEST_CASE("two GPUs train as one does, each step a graph, sharded to the same bits", "[gpu ranks]") {
  if (!torch::cuda::is_available() || torch::cuda::device_count() < 2) SKIP_TEST("needs two GPUs");
  std::vector<Batch> batches{make_batch(4, 16, 0, 1)};
  for (auto& target : batches[0].targets) target = std::max<int64_t>(target, 0);
  batches[0].loss_tokens = 64;
  const auto train_on = [&](int64_t ranks, Sharded shard) {
    std::vector<double> losses;
    TrainConfig config{.steps = 8, .batch_size = 4, .lr = 3e-3, .shard = shard};
    with_ranks(ranks, [&](World& world) {
      const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(world.rank()));
      const c10::DeviceGuard guard(device);
      const auto decoder = fresh(Gqa::Config{}, {"all"});
      decoder->to(device);
      Trainer trainer(*decoder, config, nullptr, world);
      for (int64_t step = 1; step <= 8; ++step) {
        const double loss = trainer.step(step, batches).loss.item<double>();
        if (world.is_first()) losses.push_back(loss);
      }
      CHECK(trainer.replayed_steps() == 6);
    });
    return losses;
  };
  const auto one = train_on(1, Sharded::none), two = train_on(2, Sharded::none);
  for (size_t i = 0; i < one.size(); ++i) CHECK(two[i] == Approx(one[i]).epsilon(1e-4));
  CHECK(train_on(2, Sharded::optimizer) == two);
  // The norm that they are clipped by is summed in another order.
  const auto parts = train_on(2, Sharded::parameters);
  for (size_t i = 0; i < one.size(); ++i) CHECK(parts[i] == Approx(two[i]).epsilon(1e-4));
}

TEST_CASE("a step that can't be shared is refused") {
  CHECK_FALSE(share_problem({.batch_size = 1}, 1));
  CHECK_FALSE(share_problem({.batch_size = 1, .micro_batches = 4}, 2));
  CHECK(share_problem({.batch_size = 3, .micro_batches = 3}, 4)->key == "batch_size");
  TrainConfig config;
  config.prune.emplace();
  CHECK(share_problem(config, 2)->key == "prune");
  config.prune.reset();
  config.domains.emplace();
  CHECK(share_problem(config, 2)->key == "domains");
  config.domains.reset();
}

}  // namespace
}  // namespace attnlab
