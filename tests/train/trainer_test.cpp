#include "train/trainer.h"

#include "attention/gqa.h"
#include "catch.h"
#include "core/errors.h"
#include "small_run.h"

namespace attnlab {
namespace {

using test::distance, test::fresh, test::join, test::make_batch;

const TrainConfig config{.steps = 30, .lr = 3e-3, .warmup_steps = 3};

TEST_CASE("training lowers the loss and moves only what is trainable") {
  const auto decoder = fresh(), before = fresh();
  Trainer trainer(*decoder, config);
  const auto batch = make_batch(4, 16, 2, 1);
  const double first = trainer.step(1, {batch}).loss.item<double>();
  double last = 0;
  for (int64_t step = 2; step <= 30; ++step) last = trainer.step(step, {batch}).loss.item<double>();
  CHECK(last < 0.7 * first);
  const auto start = copy_weights(*before), end = copy_weights(*decoder);
  for (const auto& [name, tensor] : start) {
    INFO(name);
    CHECK(torch::equal(tensor, end.at(name)) == (name.find("self_attn") == std::string::npos));
  }
}

TEST_CASE("a mixture of experts trains in every format, all but the bias on its choice") {
  const std::string gate = "model.layers.1.mlp.gate.", bias = gate + "e_score_correction_bias";
  for (const Precision precision : {Precision::float32, Precision::bf16_mixed, Precision::bf16}) {
    INFO(name_of(precision));
    const auto decoder = fresh(native_form(test::small_experts()), {"all"});
    decoder->named_parameters()[bias].set_data(torch::linspace(-0.3, 0.3, 6));
    decoder->to(weight_type(precision));
    TensorMap start;
    for (const auto& [name, tensor] : copy_weights(*decoder)) start[name] = tensor.clone();
    TrainConfig each = config;
    each.precision = precision;
    Trainer trainer(*decoder, each);
    const auto batch = make_batch(4, 16, 2, 1);
    const double first = trainer.step(1, {batch}).loss.item<double>();
    double last = 0;
    for (int64_t step = 2; step <= 30; ++step) last = trainer.step(step, {batch}).loss.item<double>();
    CHECK(last < 0.7 * first);
    const auto end = copy_weights(*decoder);
    CHECK(torch::equal(end.at(bias), torch::linspace(-0.3, 0.3, 6)));
    CHECK(end.at(gate + "weight").scalar_type() == torch::kFloat32);
    CHECK_FALSE(torch::equal(start.at(gate + "weight"), end.at(gate + "weight")));
  }
}

TEST_CASE("training in bfloat16 lowers the loss, saves and goes on bit for bit") {
  const test::TemporaryFolder folder;
  const auto begin = [] {
    auto decoder = fresh();
    decoder->to(weight_type(Precision::bf16));
    return decoder;
  };
  TrainConfig bf16 = config;
  bf16.precision = Precision::bf16;
  const auto first = begin(), second = begin();
  Trainer a(*first, bf16), b(*second, bf16);
  const auto batch = make_batch(4, 16, 2, 1);
  const double before = a.step(1, {batch}).loss.item<double>();
  for (int64_t step = 2; step <= 20; ++step) a.step(step, {batch});
  a.save(folder.path() / "state", {.step = 20});
  b.load(open_state(folder.path() / "state"));
  for (int64_t step = 21; step <= 30; ++step) {
    const auto x = a.step(step, {batch}), y = b.step(step, {batch});
    CHECK(x.loss.item<double>() == y.loss.item<double>());
    CHECK(x.loss.scalar_type() == torch::kFloat32);
    CHECK(x.gradient_norm.scalar_type() == torch::kFloat32);
    CHECK(x.loss.item<double>() < 0.8 * before);
  }
  CHECK(first->parameters()[0].scalar_type() == torch::kBFloat16);
  CHECK(distance(*first, *second) == 0);
}

TEST_CASE("a saved and loaded run goes on bit for bit") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "seed0.state.safetensors";
  const auto undisturbed = fresh(), first = fresh(), second = fresh();
  Trainer a(*undisturbed, config), b(*first, config), c(*second, config);
  for (int64_t step = 1; step <= 9; ++step) {
    a.step(step, {make_batch(3, 11, 1, step)});
    if (step <= 4) b.step(step, {make_batch(3, 11, 1, step)});
  }
  b.save(file, {.step = 4, .tokens = 132, .seconds = 0.1, .best_heldout_loss = 3.25, .best_heldout_step = 2});
  const TrainProgress progress = c.load(open_state(file));
  CHECK(progress.step == 4);
  CHECK(progress.tokens == 132);
  CHECK(progress.seconds == 0.1);
  CHECK(progress.best_heldout_loss == 3.25);
  CHECK(progress.best_heldout_step == 2);
  for (int64_t step = 5; step <= 9; ++step) c.step(step, {make_batch(3, 11, 1, step)});
  CHECK(distance(*undisturbed, *second) == 0);
  b.save(file, {.step = 4});
  CHECK_FALSE(c.load(open_state(file)).best_heldout_loss);
}

TEST_CASE("a state holds what is trained, and not the rest of the model") {
  const test::TemporaryFolder folder;
  const auto decoder = fresh();
  Trainer(*decoder, config).save(folder.path() / "state", {});
  const auto state = open_state(folder.path() / "state");
  int64_t trained = 0;
  for (const auto& parameter : decoder->named_parameters()) {
    trained += parameter.value().requires_grad();
    for (const char* kind : {"parameter/", "first_moment/", "second_moment/"})
      CHECK(state.has(kind + parameter.key()) == parameter.value().requires_grad());
  }
  CHECK(state.names().size() == static_cast<size_t>(3 * trained) + 1);  // and the generator
}

TEST_CASE("a state puts the random number generator back where it stood") {
  const test::TemporaryFolder folder;
  const auto decoder = fresh();
  Trainer trainer(*decoder, config);
  torch::manual_seed(7);
  torch::randn({5});
  trainer.save(folder.path() / "state", {});
  const auto next = torch::randn({5});
  torch::manual_seed(8);
  trainer.load(open_state(folder.path() / "state"));
  CHECK(torch::equal(torch::randn({5}), next));
}

TEST_CASE("the state of another model, another order of the data, or none, is refused") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "state.safetensors";
  const auto orthogonal = fresh(), gqa = fresh(Gqa::Config{});
  Trainer(*gqa, config).save(file, {.step = 3});
  CHECK_THROWS_WITH(Trainer(*orthogonal, config).load(open_state(file)),
                    ContainsSubstring("state.safetensors"));
  TrainConfig other = config;
  other.batch_size = 8;
  CHECK_THROWS_WITH(Trainer(*gqa, other).load(open_state(file)),
                    ContainsSubstring("data_rows: found 48 rows of the data, expected 24: 8 a step"));
  write_state(file, {}, {});
  CHECK_THROWS_AS(Trainer(*gqa, config).load(open_state(file)), InputError);
}

}  // namespace
}  // namespace attnlab
