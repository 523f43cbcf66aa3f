// What bench_train measures, and what it counts.
#include "measure/train_shapes.h"

#include "catch.h"
#include "model/kv_budget.h"

namespace attnlab {
namespace {

TEST_CASE(
    "a step that trains everything has three times the arithmetic of its forward pass, experts counted as "
    "used") {
  DecoderConfig config = train_config(TrainShape::mixtral_8l, 32);
  config.vocab_size = 40, config.d_model = 24, config.n_layers = 2, config.n_heads = 4, config.n_kv_heads = 2;
  config.head_dim = 6, config.d_ff = config.moe->d_ff = 16;
  const auto decoder = random_arm(config, "gqa", {.trainable = {"all"}}, torch::kCPU, 1);
  const double forward = decoder->forward_flops_per_token(12);
  CHECK(step_flops(*decoder, 3, 12) == Approx(3 * 12 * 3 * forward));
  const auto frozen = random_arm(config, "gqa", {.trainable = {"attention"}}, torch::kCPU, 1);
  // Two of eight experts, and the router of eight.
  const double experts = 2 * 2 * 3 * 24 * 16, router = 2 * 24 * 8, output = 2 * 40 * 24;
  CHECK(step_flops(*frozen, 3, 12) == Approx(3 * 12 * (3 * forward - 2 * (experts + router) - output)));
}

TEST_CASE("the shapes with experts and with capped scores have the published sizes") {
  const auto parameters = [](TrainShape shape) {
    return static_cast<double>(count_parameters(train_config(shape, 2048)).total());
  };
  CHECK(parameters(TrainShape::gemma2_2b) == Approx(2.614e9).epsilon(1e-3));
  // 46.7 billion in 32 layers, of which embeddings and the output matrix are 0.26 billion.
  CHECK(parameters(TrainShape::mixtral_8l) == Approx((46.70e9 - 0.262e9) / 4 + 0.262e9).epsilon(1e-3));
  CHECK(train_config(TrainShape::gemma2_2b, 2048).attention_shape(0).score.softcap == 50);
}

}  // namespace
}  // namespace attnlab
