// Steps of ranks that keep parts of the parameters (train.shard: parameters).
#include "attention/gqa.h"
#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "live_memory.h"
#include "ranks_run.h"

namespace attnlab {
namespace {

using test::batch_of_first_rank, test::distance, test::fresh, test::make_batch, test::trained, test::wide,
    test::wide_config, test::wide_with_unused, test::with_ranks;

TrainConfig in_parts(TrainConfig config, bool recompute = false) {
  config.shard = Sharded::parameters;
  config.activation_checkpointing = recompute;
  return config;
}

TEST_CASE("in float64 parts at two and four ranks train as one rank does: tied, frozen, uneven rows") {
  const std::vector<Batch> batches{make_batch(5, 12, 2, 1)};
  for (const bool tied : {true, false})
    for (const auto& scopes : std::vector<std::vector<std::string>>{
             {"all"}, {"attention_kv"}, {"model.layers.1.*"}, {"model.layers.0.mlp.*"}, {"model.norm.*"}})
      for (const bool recompute : {false, true}) {
        INFO(scopes[0] << (tied ? ", tied" : "") << (recompute ? ", recomputed" : ""));
        const auto begin = [&] { return wide(scopes, tied); };
        const auto alone = trained(1, wide_config(), batches, begin);
        REQUIRE(distance(*alone, *begin()) > 1e-4);
        CHECK(distance(*trained(2, in_parts(wide_config(), recompute), batches, begin), *alone) < 1e-15);
        CHECK(distance(*trained(4, in_parts(wide_config(), recompute), batches, begin), *alone) < 1e-15);
      }
}

TEST_CASE("parts of every variant train to the bits of whole ones, in every precision") {
  const std::vector<Batch> batches{make_batch(3, 12, 2, 1)};
  auto forms = test::all_forms(test::small_config());
  forms.push_back(native_form(test::small_experts()));
  for (const auto& form : forms)
    for (const auto precision : {Precision::float32, Precision::bf16_mixed, Precision::bf16})
      for (const bool recompute : {false, true}) {
        INFO(variant_name(form.of(0)) << ", " << name_of(precision) << (recompute ? ", recomputed" : ""));
        TrainConfig config{.steps = 2, .batch_size = 3, .lr = 3e-3, .weight_decay = 0.1, .clip_norm = 0};
        config.precision = precision;
        const auto begin = [&] {
          auto decoder = fresh(form, {"all"});
          decoder->to(weight_type(precision));
          return decoder;
        };
        const auto whole = trained(2, config, batches, begin, 2);
        REQUIRE(distance(*whole, *begin()) > 1e-4);
        CHECK(distance(*trained(2, in_parts(config, recompute), batches, begin, 2), *whole) == 0);
      }
}

TEST_CASE("micro-batches of parts are added, and clipped by the norm of the whole gradient") {
  std::vector<Batch> batches;
  for (int64_t m = 0; m < 4; ++m) batches.push_back(make_batch(3, 12, 2, m));
  TrainConfig config = wide_config();
  config.micro_batches = 4;
  config.clip_norm = 0.01;
  const auto begin = [] { return wide(); };
  const auto alone = trained(1, config, batches, begin);
  for (const int64_t ranks : {2, 3, 4})  // whole micro-batches, and rows of each; the norm is a float32
    CHECK(distance(*trained(ranks, in_parts(config), batches, begin), *alone) < 1e-8);
  config.clip_norm = 0;
  const auto unclipped = trained(1, config, batches, begin);
  CHECK(distance(*unclipped, *alone) > 1e-4);
  for (const int64_t ranks : {2, 3, 4})
    CHECK(distance(*trained(ranks, in_parts(config), batches, begin), *unclipped) < 1e-15);
}

TEST_CASE("what no rank uses stays as it is, and a rank without targets gathers with the others") {
  const auto batch = batch_of_first_rank();
  TrainConfig config = wide_config();
  config.weight_decay = 0.5;
  const auto begin = wide_with_unused;
  const auto alone = trained(1, config, {batch}, begin), two = trained(2, in_parts(config), {batch}, begin);
  CHECK(torch::equal(two->named_parameters()["unused"], torch::ones({3, 3}, torch::kFloat64)));
  CHECK(distance(*two, *alone) < 1e-15);
  auto empty = batch;
  std::fill(empty.targets.begin(), empty.targets.end(), ignored_target);
  empty.loss_tokens = 0;
  CHECK(distance(*trained(2, in_parts(config), {empty}, begin), *begin()) == 0);
}

// The distances of the layers add to the gradients of the stream between them, in an order that gates change.
TEST_CASE("a teacher of whole parameters teaches a student of parts, its layers too, to rounding") {
  const std::vector<Batch> batches{make_batch(4, 12, 2, 1)};
  TrainConfig config{.steps = 2, .batch_size = 4, .lr = 3e-3, .clip_norm = 0};
  for (const auto match : {LayerMatch::hidden, LayerMatch::attention_output}) {
    config.distill = DistillConfig{.layers = match};
    std::vector<std::shared_ptr<Decoder>> students;
    for (const auto shard : {Sharded::none, Sharded::parameters})
      with_ranks(2, [&](World& world) {
        const auto teacher = fresh(Gqa::Config{}), student = fresh(MlaOrthogonal::Config{.rank = 3}, {"all"});
        for (const auto& decoder : {teacher, student}) decoder->to(torch::kFloat64);
        TrainConfig own = config;
        own.shard = shard;
        Trainer trainer(*student, own, teacher, world);
        for (int64_t step = 1; step <= 2; ++step)
          CHECK(trainer.step(step, batches).layer_distance.item<double>() > 0);
        trainer.make_whole();
        if (world.is_first()) students.push_back(student);
      });
    CHECK(distance(*students[0], *students[1]) < 1e-14);
  }
}

TEST_CASE("a state of parts is one of whole parameters: two ranks, then one, then four") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "state";
  const std::vector<Batch> batches{make_batch(5, 12, 2, 1)};
  const auto whole = trained(
      1, wide_config(), batches, [] { return wide(); }, 6);
  int64_t done = 0;
  for (const int64_t ranks : {2, 1, 4}) {
    with_ranks(ranks, [&](World& world) {
      const auto decoder = wide();
      Trainer trainer(*decoder, in_parts(wide_config()), nullptr, world);
      std::optional<SafetensorsFile> state;
      if (world.is_first() && done > 0) state.emplace(open_state(path));
      if (done > 0) CHECK(trainer.load(state ? &*state : nullptr).step == done);
      for (const int64_t step : {1, 2}) trainer.step(done + step, batches);
      trainer.save(path, {.step = done + 2});
      trainer.make_whole();
      if (done == 4) CHECK(distance(*decoder, *whole) < 1e-15);
    });
    done += 2;
  }
}

TEST_CASE("a state's bytes don't depend on what is kept in parts, and one tensor of it is in memory") {
  const test::TemporaryFolder folder;
  auto shape = test::small_config();
  shape.n_layers = 12;
  const std::vector<Batch> batches{make_batch(4, 12, 2, 1)};
  auto& memory = test::CountingAllocator::instance();
  int64_t state_bytes = 0, most = 0;
  for (const auto shard : {Sharded::none, Sharded::optimizer, Sharded::parameters})
    with_ranks(2, [&](World& world) {
      const auto decoder = fresh(Gqa::Config{}, {"all"}, shape);
      TrainConfig config{.steps = 2, .batch_size = 4, .lr = 3e-3, .clip_norm = 0, .shard = shard};
      Trainer trainer(*decoder, config, nullptr, world);
      for (int64_t step = 1; step <= 2; ++step) trainer.step(step, batches);
      const auto path = folder.path() / std::string(name_of(shard));
      world.sum_small(torch::zeros({1}));  // all have come so far
      const int64_t taken = memory.peak_of([&] { trainer.save(path, {.step = 2}); });
      if (!world.is_first() || shard != Sharded::parameters) return;
      most = taken;
      state_bytes = static_cast<int64_t>(std::filesystem::file_size(path));
    });
  const auto plain = read_file(folder.path() / "none");
  CHECK(read_file(folder.path() / "optimizer") == plain);
  CHECK(read_file(folder.path() / "parameters") == plain);
  INFO(most << " bytes of " << state_bytes);
  CHECK(most < state_bytes / 2);
}

TEST_CASE("a state that rank 0 can't write ends the call at all ranks") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "file", "");
  for (const auto shard : {Sharded::none, Sharded::parameters})
    with_ranks(2, [&](World& world) {
      const auto decoder = fresh();
      Trainer trainer(*decoder, {.steps = 1, .batch_size = 4, .shard = shard}, nullptr, world);
      CHECK_THROWS_AS(trainer.save(folder.path() / "file" / "state", {.step = 0}), RunError);
      trainer.step(1, {make_batch(4, 12, 2, 1)});
    });
}

TEST_CASE("a pass between steps has the bits of whole parameters, and steps go on behind it") {
  const std::vector<Batch> batches{make_batch(4, 12, 2, 1)};
  TrainConfig config{.steps = 3, .batch_size = 4, .lr = 3e-3, .clip_norm = 0};
  config.precision = Precision::bf16_mixed;
  const auto ids = test::random_ids(2, 9, 37);
  const auto run = [&](const TrainConfig& each) {
    torch::Tensor logits;
    with_ranks(2, [&](World& world) {
      const auto decoder = fresh();
      Trainer trainer(*decoder, each, nullptr, world);
      for (int64_t step = 1; step <= 3; ++step) {
        trainer.step(step, batches);
        const auto whole = trainer.whole_parameters();
        const torch::NoGradGuard no_grad;
        const PrecisionScope scope(config.precision, torch::kCPU);
        if (world.is_first()) logits = decoder->logits(decoder->hidden(ids));
      }
    });
    return logits;
  };
  CHECK(torch::equal(run(in_parts(config)), run(config)));
}

TEST_CASE("a step of parts holds its share, two layers and one layer's gradients") {
  auto shape = test::small_config();
  shape.n_layers = 16;
  shape.d_model = shape.d_ff = 64;
  const std::vector<Batch> batches{make_batch(2, 4, 0, 1)};
  auto& memory = test::CountingAllocator::instance();
  const auto peak = [&](Sharded shard) {
    return memory.peak_of([&] {
      with_ranks(2, [&](World& world) {
        const auto decoder = fresh(Gqa::Config{}, {"all"}, shape);
        TrainConfig config{.steps = 2, .batch_size = 2, .shard = shard};
        config.activation_checkpointing = true;
        Trainer trainer(*decoder, config, nullptr, world);
        for (int64_t step = 1; step <= 2; ++step) trainer.step(step, batches);
      });
    });
  };
  const auto parameters = static_cast<double>([&] {
    int64_t bytes = 0;
    for (const auto& parameter : Decoder(shape, Gqa::Config{}).parameters()) bytes += 4 * parameter.numel();
    return bytes;
  }());
  // Of both ranks together: whole ones 2, their sums 1, moments 2, gradients that are not sent yet; and 4 of
  // parts (their own values, moments, sums), with layers and gradients of a 16th each.
  const double optimizer = static_cast<double>(peak(Sharded::optimizer)) / parameters;
  const double parts = static_cast<double>(peak(Sharded::parameters)) / parameters;
  INFO(optimizer << " times the parameters, in parts " << parts);
  CHECK(parts < 5.5);
  CHECK(parts < 0.75 * optimizer);
}

}  // namespace
}  // namespace attnlab
