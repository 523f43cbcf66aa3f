// Conversions that change nothing: identity and full-rank orthogonal MLA compute what GQA computes.
#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

int64_t trainable(const Mixer& module) {
  int64_t total = 0;
  for (const auto& parameter : module.parameters()) total += parameter.numel();
  return total;
}

void check_same_function(const Size& size, torch::ScalarType dtype) {
  const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
  const auto input = random_input(size, dtype, 22);
  const auto expected = gqa->forward(input);
  for (const auto& config : exact_variants()) {
    INFO(size.name << ": " << label(config));
    // Twice the chain: the two sides round independently.
    CHECK(close(converted(*gqa, config)->forward(input), expected, 2 * tolerance(size, dtype, expected)));
  }
}

TEST_CASE("converted layers compute what the GQA layer computes, biases included") {
  for (const auto& size : odd_sizes()) {
    check_same_function(size, torch::kFloat64);
    check_same_function(size, torch::kFloat32);
  }
}

TEST_CASE("the comparison notices a weight that is off by a thousandth") {
  const Size size = odd_sizes()[0];
  for (const auto dtype : {torch::kFloat64, torch::kFloat32})
    for (const auto& config : exact_variants()) {
      const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
      const auto input = random_input(size, dtype, 22);
      const auto expected = gqa->forward(input);
      for (const std::string name : {"k_proj.weight", "v_proj.weight", "v_proj.bias"}) {
        INFO(label(config) << ", " << name);
        const auto module = converted(*gqa, config);
        {
          const torch::NoGradGuard no_grad;
          module->named_parameters()[name].mul_(1.001);
        }
        CHECK_FALSE(close(module->forward(input), expected, 2 * tolerance(size, dtype, expected)));
      }
    }
}

TEST_CASE("training the up-projections leaves what GQA can express") {
  const Size size = odd_sizes()[0];
  const auto gqa = random_attention(size, Gqa::Config{}, torch::kFloat64, 21);
  const auto input = random_input(size, torch::kFloat64, 22);
  const auto mla = converted(*gqa, MlaIdentity::Config{});
  mla->forward(input).square().sum().backward();
  const auto gradient = mla->named_parameters()["v_up_proj.weight"].grad();
  // Head 0 uses KV head 0 at first; its weights for KV head 1, zero so far, must be trainable too.
  const int64_t H = size.shape.head_dim;
  CHECK(gradient.narrow(0, 0, H).narrow(1, H, H).abs().min().item<double>() > 0);
}

TEST_CASE("latents keep as many numbers as GQA's cache, and up-projections add 2 · G H · N H parameters") {
  for (const auto& size : odd_sizes()) {
    const auto& shape = size.shape;
    const int64_t kv = shape.n_kv_heads * shape.head_dim, heads = shape.n_heads * shape.head_dim;
    const auto gqa = make_mixer(shape, Gqa::Config{});
    CHECK(numbers_per_token(gqa->state_layout()) == 2 * kv);
    int64_t expected = shape.d_model * (2 * heads + 2 * kv);
    if (shape.qkv_bias) expected += heads + 2 * kv;
    if (shape.o_bias) expected += shape.d_model;
    CHECK(trainable(*gqa) == expected);
    for (const VariantConfig& config :
         {VariantConfig(MlaIdentity::Config{}), VariantConfig(MlaOrthogonal::Config{})}) {
      const auto mla = make_mixer(shape, config);
      CHECK(numbers_per_token(mla->state_layout()) == 2 * kv);
      CHECK(trainable(*mla) == expected + 2 * kv * heads);
    }
    const auto truncated = make_mixer(shape, MlaOrthogonal::Config{.rank = 3});
    CHECK(numbers_per_token(truncated->state_layout()) == 2 * 3 * shape.n_kv_heads);
  }
}

}  // namespace
}  // namespace attnlab::test
