// Steps whose loss or gradient is not finite.
#include <limits>

#include "catch.h"
#include "small_run.h"
#include "train/finite_watch.h"

namespace attnlab {
namespace {

using test::distance, test::fresh, test::make_batch;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr int64_t bad_token = 36;

// Batches that hold the token 36 have no finite loss.
std::shared_ptr<Decoder> poisoned() {
  const auto decoder = fresh();
  const torch::NoGradGuard no_grad;
  decoder->named_parameters()["model.embed_tokens.weight"][bad_token][0] = inf;
  return decoder;
}

Batch good(int64_t seed) {
  Batch batch = make_batch(2, 11, 1, seed);
  for (auto* list : {&batch.input_ids, &batch.targets})
    for (auto& token : *list)
      if (token == bad_token) token = 0;
  return batch;
}

Batch bad(int64_t seed) {
  Batch batch = good(seed);
  batch.input_ids[3] = bad_token;
  return batch;
}

TensorList state_of(const Trainer& trainer) {
  const test::TemporaryFolder folder;
  trainer.save(folder.path() / "state", {});
  const auto file = open_state(folder.path() / "state");
  TensorList tensors;
  for (const auto& name : file.names()) tensors[name] = file.tensor(name).clone();
  return tensors;
}

const TrainConfig nine_steps{.steps = 9, .lr = 1e-2};

TEST_CASE(
    "a step with a loss that is not finite changes neither parameters nor moments, and training goes on") {
  const auto decoder = poisoned();
  Trainer trainer(*decoder, nine_steps);
  CHECK(trainer.step(1, {good(1)}).nonfinite.item<float>() == 0);
  const auto before = state_of(trainer);
  const auto result = trainer.step(2, {bad(2)});
  CHECK(result.nonfinite.item<float>() == 1);
  CHECK_FALSE(std::isfinite(result.loss.item<double>()));
  for (const auto& [name, tensor] : state_of(trainer)) {
    INFO(name);
    CHECK(torch::equal(tensor, before.at(name)));
  }
  CHECK(trainer.step(3, {good(3)}).nonfinite.item<float>() == 0);
  CHECK_FALSE(torch::equal(state_of(trainer).at("first_moment/model.layers.1.self_attn.q_proj.weight"),
                           before.at("first_moment/model.layers.1.self_attn.q_proj.weight")));
}

TEST_CASE("one bad micro-batch of several is enough") {
  const auto decoder = poisoned(), untouched = poisoned();
  Trainer trainer(*decoder, nine_steps);
  CHECK(trainer.step(1, {good(1), bad(2), good(3)}).nonfinite.item<float>() == 1);
  const torch::NoGradGuard no_grad;
  for (const auto& model : {decoder, untouched}) model->named_parameters()["model.embed_tokens.weight"].zero_();
  CHECK(distance(*decoder, *untouched) == 0);
}

TEST_CASE("a gradient that is not finite counts, whatever the loss") {
  auto a = torch::ones({2, 2}).requires_grad_(), b = torch::ones({2}).requires_grad_();
  AdamW optimizer({{"a", a}, {"b", b}}, nine_steps);
  a.mutable_grad() = torch::tensor({{1.0, inf}, {0.0, 0.0}}).to(torch::kFloat32);
  b.mutable_grad() = torch::ones({2});
  const auto norm = optimizer.clip_gradients();
  CHECK_FALSE(std::isfinite(norm.item<double>()));
  optimizer.set_step(1, 0.1);
  optimizer.update(torch::ones({}));
  CHECK(torch::equal(a, torch::ones({2, 2})));
  CHECK(torch::equal(b, torch::ones({2})));
  CHECK_FALSE(a.grad().defined());
  a.mutable_grad() = torch::ones({2, 2});
  optimizer.set_step(2, 0.1);
  optimizer.update(torch::zeros({}));
  CHECK(a[0][0].item<double>() < 1);
}

TEST_CASE("the watch names the steps that were not applied, once each") {
  const auto decoder = poisoned();
  Trainer trainer(*decoder, nine_steps);
  FiniteWatch watch;
  CHECK(watch.take().empty());
  for (int64_t step = 1; step <= 6; ++step)
    watch.add(step, trainer.step(step, {step == 3 || step == 4 ? bad(step) : good(step)}));
  const auto steps = watch.take();
  REQUIRE(steps.size() == 2);
  CHECK(steps[0].step == 3);
  CHECK(steps[1].step == 4);
  CHECK_FALSE(std::isfinite(steps[0].loss));
  CHECK_FALSE(std::isfinite(steps[0].gradient_norm));
  CHECK(watch.take().empty());
  watch.add(7, trainer.step(7, {good(7)}));
  CHECK(watch.take().empty());
}

}  // namespace
}  // namespace attnlab
