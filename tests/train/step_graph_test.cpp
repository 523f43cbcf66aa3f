// Steps that a GPU replays as a graph, against the same steps launched one kernel after another.
#include "train/step_graph.h"

#include <cmath>

#include "catch.h"
#include "kernels/grouped.h"
#include "small_run.h"
#include "train/determinism.h"

namespace attnlab {
namespace {

struct Outcome {
  std::shared_ptr<Decoder> decoder;
  std::vector<double> losses, norms;
  int64_t replayed = 0;
};

// Batches of one shape, but for one in the middle; an evaluation of longer sequences in between.
Outcome train(TrainConfig config, bool documents, const ModelForm& form) {
  const torch::Device device(torch::kCUDA);
  const DeterministicScope scope(true, device);
  Outcome out{.decoder = test::fresh(form, {"all"})};
  out.decoder->to(device, weight_type(config.precision));
  Trainer trainer(*out.decoder, config);
  std::vector<StepResult> results;
  for (int64_t step = 1; step <= config.steps; ++step) {
    const int64_t columns = step == 6 ? 20 : 32;
    std::vector<Batch> batches;
    for (int64_t m = 0; m < 2; ++m) {
      batches.push_back(test::make_batch(4, columns, 1, 10 * step + m));
      if (!documents) continue;
      for (int64_t r = 0; r < 4; ++r)
        for (int64_t t = 0; t < columns; ++t) batches.back().positions.push_back(t < 9 + r ? t : t - 9 - r);
    }
    results.push_back(trainer.step(step, batches));
    if (step != 8) continue;
    const torch::NoGradGuard no_grad;
    out.decoder->hidden(torch::zeros({1, 48}, torch::dtype(torch::kInt64).device(device)));
    torch::empty({1 << 20}, torch::dtype(torch::kFloat32).device(device)).fill_(NAN);
  }
  for (const auto& result : results) {
    out.losses.push_back(result.loss.item<double>());
    out.norms.push_back(result.gradient_norm.item<double>());
  }
  out.replayed = trainer.replayed_steps();
  return out;
}

const ModelForm& small_form() {
  static const ModelForm form(test::small_config(), MlaOrthogonal::Config{});
  return form;
}

void check_same(TrainConfig config, bool documents = false, const ModelForm& form = small_form()) {
  const Outcome graph = train(config, documents, form);
  config.cuda_graph = false;
  const Outcome plain = train(config, documents, form);
  CHECK(graph.replayed == 12 - 3);  // but for two before the recording and the odd one
  CHECK(plain.replayed == 0);
  CHECK(graph.losses == plain.losses);
  CHECK(graph.norms == plain.norms);
  CHECK(test::distance(*graph.decoder, *plain.decoder) == 0);
}

TEST_CASE("replayed steps have the bits of launched ones, in each precision, through other shapes in between") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  prepare_determinism();
  for (const auto precision : {Precision::float32, Precision::bf16_mixed, Precision::bf16}) {
    INFO("precision " << static_cast<int>(precision));
    check_same({.steps = 12, .lr = 3e-3, .warmup_steps = 5, .precision = precision});
  }
}

TEST_CASE("replayed steps with isolated documents, and with activation checkpointing, have the same bits") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  prepare_determinism();
  check_same({.steps = 12, .lr = 3e-3}, true);
  check_same({.steps = 12, .lr = 3e-3, .precision = Precision::bf16_mixed, .activation_checkpointing = true});
}

TEST_CASE("replayed steps with capped scores have the bits of launched ones, isolated documents or not") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  prepare_determinism();
  auto config = test::small_config();
  config.family = Family::gemma2;
  config.attention_softcap = 3, config.final_softcap = 5;
  config.window = 9, config.window_layers = {0};
  for (const auto precision : {Precision::float32, Precision::bf16_mixed, Precision::bf16})
    for (const bool documents : {false, true})
      check_same({.steps = 12, .lr = 3e-3, .precision = precision}, documents, native_form(config));
}

// Mixtral's router, and DeepSeek-V3's beside a shared expert and a dense layer; widths that grouped products
// take.
std::vector<ModelForm> mixtures() {
  auto mixtral = test::small_config();
  mixtral.family = Family::mixtral;
  mixtral.d_model = 24, mixtral.d_ff = 16;
  mixtral.moe = MoeShape{.n_experts = 5, .experts_per_token = 2, .d_ff = 16};
  auto deepseek = test::small_experts();
  deepseek.d_model = 24;
  deepseek.moe->d_ff = 8;
  return {native_form(mixtral), native_form(deepseek)};
}

TEST_CASE("replayed steps of a mixture of experts in bfloat16 have the bits of launched ones") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  if (!has_grouped_products(torch::kCUDA, torch::kBFloat16)) SKIP_TEST("no grouped products on this GPU");
  prepare_determinism();
  for (const auto& form : mixtures())
    for (const auto precision : {Precision::bf16_mixed, Precision::bf16}) {
      INFO(name_of(form.config.family) << ", " << name_of(precision));
      const TrainConfig config{.steps = 12, .lr = 3e-3, .warmup_steps = 5, .precision = precision};
      check_same(config, false, form);
      TrainConfig again = config;
      again.activation_checkpointing = true;
      check_same(again, false, form);
    }
}

TEST_CASE("a mixture whose loads the host reads is not recorded, and begins with the same loss") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  prepare_determinism();
  const TrainConfig config{.steps = 12, .lr = 3e-3};
  for (const auto& form : mixtures()) {
    const Outcome launched = train(config, false, form);
    CHECK(launched.replayed == 0);
    auto half = config;
    half.precision = Precision::bf16_mixed;
    const Outcome mixed = train(half, false, form);
    // Of one set of weights: a mean over a few dozen tokens of what some ten roundings to 2^-9 move, and other
    // experts at near ties.
    CHECK(std::abs(mixed.losses[0] - launched.losses[0]) < 10 * 0x1p-9 * launched.losses[0]);
    CHECK(mixed.losses.back() < mixed.losses.front());
  }
}

TEST_CASE("on a CPU there are no graphs, and the setting changes nothing") {
  CHECK_FALSE(StepGraph::available(torch::kCPU));
  const auto loss = [](bool graph) {
    const auto decoder = test::fresh();
    Trainer trainer(*decoder, {.steps = 4, .cuda_graph = graph});
    StepResult last;
    for (int64_t step = 1; step <= 4; ++step) last = trainer.step(step, {test::make_batch(2, 8, 1, step)});
    CHECK(trainer.replayed_steps() == 0);
    return last.loss.item<double>();
  };
  CHECK(loss(true) == loss(false));
}

}  // namespace
}  // namespace attnlab
