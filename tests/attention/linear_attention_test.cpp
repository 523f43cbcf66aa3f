// Linear attention as T2R and LoLCATs start it, and its refusals.
#include "attention/linear_attention.h"

#include <cmath>

#include "attention/gated_linear.h"
#include "attention/gqa.h"
#include "attention/mamba.h"
#include "attention/mamba2.h"
#include "attention/mixer_parts.h"
#include "attention/rwkv6.h"
#include "attention/rwkv7.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

// o_t = Σ_s w_ts v_s / (Σ_s w_ts + eps), w_ts = φ(q_t)·φ(k_s), with decays: each weight a number of its own.
torch::Tensor token_by_token(const Mixer& module, const Tokens& input, double decay_of_token,
                             const std::function<torch::Tensor(const torch::Tensor&)>& features) {
  const auto& shape = module.shape();
  const auto gqa = gqa_weights(module);
  const auto heads = [&](const torch::Tensor& weight, const torch::Tensor& bias, int64_t n) {
    return torch::linear(input.x_BTD, weight, bias).unflatten(2, {n, -1}).transpose(1, 2);
  };
  const auto turned = [&](const torch::Tensor& x) {
    return apply_rotary(x, input.tables().cos_BTH, input.tables().sin_BTH);
  };
  const auto q = features(turned(heads(gqa.q_weight, gqa.q_bias, shape.n_heads)));
  const auto k = features(turned(heads(gqa.k_weight, gqa.k_bias, shape.n_kv_heads)));
  const auto v = heads(gqa.v_weight, gqa.v_bias, shape.n_kv_heads);
  std::vector<torch::Tensor> outputs;
  for (int64_t t = 0; t < input.x_BTD.size(1); ++t) {
    std::vector<torch::Tensor> of_heads;
    for (int64_t n = 0; n < shape.n_heads; ++n) {
      const int64_t g = n / shape.heads_per_kv();
      auto sum = torch::zeros_like(v[0][g][0]);
      double total = 0;
      for (int64_t s = 0; s <= t; ++s) {
        const double weight = std::exp(static_cast<double>(t - s) * decay_of_token) *
                              (q[0][n][t] * k[0][g][s]).sum().item<double>();
        sum = sum + weight * v[0][g][s];
        total += weight;
      }
      of_heads.push_back(sum / total);
    }
    outputs.push_back(torch::linear(torch::cat(of_heads), gqa.o_weight, gqa.o_bias));
  }
  return torch::stack(outputs).unsqueeze(0);
}

torch::Tensor two_softmaxes(const torch::Tensor& x) {
  return torch::cat({x.softmax(-1), (-x).softmax(-1)}, -1);
}

TEST_CASE("the start is GQA's projections, rotary, the map with W = I, and weights that sum to 1") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[0];
  size.T = 21;
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto input = random_input(size, kDouble, 22);
  const auto check = [&](LinearAttention::Config config, const auto& features) {
    config.eps = 1e-20;  // less than rounding
    const auto module = converted(*gqa, config);
    const auto expected = token_by_token(*module, input, 0, features);
    // Two sides that round independently, the map's product beside the chain.
    CHECK(close(module->forward(input), expected, 4 * tolerance(size, kDouble, expected)));
  };
  check({}, two_softmaxes);
  check({.by_query_head = true}, two_softmaxes);
  check({.feature_map = FeatureMapKind::elu}, [](const torch::Tensor& x) { return torch::elu(x) + 1; });
  check({.feature_map = FeatureMapKind::exp}, [](const torch::Tensor& x) {
    const auto y = x * std::pow(10.0, -0.25);
    return torch::cat({y.exp(), (-y).exp()}, -1);
  });
}

TEST_CASE("a gated state forgets by a factor for each token") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[0];
  size.T = 21;
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto input = random_input(size, kDouble, 22);
  const auto module = converted(*gqa, GatedLinear::Config{.eps = 1e-20});
  for (const char* name : {"A_log", "dt_bias"}) module->named_parameters()[name].zero_();
  const double decay = -std::log(2.0);  // -exp(0) softplus(0)
  const auto expected = token_by_token(*module, input, decay, two_softmaxes);
  CHECK(close(module->forward(input), expected, 4 * tolerance(size, kDouble, expected)));
  CHECK_FALSE(close(module->forward(input), token_by_token(*module, input, 0, two_softmaxes), 1e-3));
}

TEST_CASE("the usual decays lie in Mamba-2's range, layer by layer others") {
  const auto [A_log, bias] = usual_decays(200, 3);
  const auto A = A_log.exp(), step = torch::softplus(bias);
  CHECK(A.min().item<double>() >= 1);
  CHECK(A.max().item<double>() <= 16);
  CHECK(step.min().item<double>() >= 0.00099);
  CHECK(step.max().item<double>() <= 0.101);
  CHECK_FALSE(torch::equal(A_log, usual_decays(200, 4).first));
  CHECK(torch::equal(A_log, usual_decays(200, 3).first));
}

TEST_CASE("what a state can't carry is refused, and what it keeps is counted") {
  const AttentionShape shape{.d_model = 8, .n_heads = 4, .n_kv_heads = 2, .head_dim = 6};
  const auto refusal = [](const AttentionShape& of, const VariantConfig& config) {
    const auto problem = variant_problem(of, config);
    return problem ? describe(*problem) : "accepted";
  };
  AttentionShape windowed = shape, capped = shape, normed = shape;
  windowed.window = 5;
  windowed.layer = 1;
  capped.score.softcap = 50;
  normed.qk_norm = true;
  for (const VariantConfig& config : {VariantConfig(LinearAttention::Config{}),
                                      VariantConfig(GatedLinear::Config{}), VariantConfig(Mamba2::Config{})}) {
    INFO(label(config));
    CHECK(refusal(shape, config) == "accepted");
    CHECK(refusal(normed, config) == "accepted");
    CHECK_THAT(refusal(windowed, config), ContainsSubstring("layer 1 sees 5 tokens"));
    CHECK_THAT(refusal(capped, config), ContainsSubstring("caps scores at 50"));
    const auto layout = make_mixer(shape, config)->state_layout();
    CHECK(numbers_per_token(layout) == 0);
  }
  for (const VariantConfig& config :
       {VariantConfig(Rwkv6::Config{}), VariantConfig(Rwkv7::Config{}), VariantConfig(Mamba::Config{})}) {
    INFO(label(config));
    CHECK(refusal(shape, config) == "accepted");
    CHECK_THAT(refusal(normed, config), ContainsSubstring("norms of query and key heads"));
    CHECK_THAT(refusal(windowed, config), ContainsSubstring("layer 1 sees 5 tokens"));
  }
  const auto numbers = [&](const VariantConfig& config) {
    return fixed_numbers(make_mixer(shape, config)->state_layout());
  };
  CHECK(numbers(LinearAttention::Config{}) == 2 * 12 * 7);
  CHECK(numbers(LinearAttention::Config{.by_query_head = true}) == 4 * 12 * 7);
  CHECK(numbers(LinearAttention::Config{.feature_map = FeatureMapKind::elu}) == 2 * 6 * 7);
  CHECK(numbers(Rwkv6::Config{}) == 4 * 6 * 6 + 8);
  CHECK(numbers(Rwkv7::Config{}) == 4 * 6 * 6 + 8);
  CHECK(numbers(Mamba::Config{}) == 4 * 6 * 6 + 3 * 2 * 6);
  CHECK(numbers(Mamba2::Config{}) == 4 * 6 * 6 + 3 * (2 * 2 + 4) * 6);
}

TEST_CASE("an opened Mamba-2 starts as linear attention with a decay, normed by head") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[0];
  size.T = 21;
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto input = random_input(size, kDouble, 22);
  const auto module = converted(*gqa, Mamba2::Config{});
  const auto weights = gqa_weights(*module);
  const auto parameters = module->named_parameters();
  const auto heads = [&](const torch::Tensor& weight, const torch::Tensor& bias) {
    const auto all = torch::linear(input.x_BTD, weight, bias)[0].unflatten(1, {-1, size.shape.head_dim});
    return all.transpose(0, 1);
  };
  const auto turned = [&](const torch::Tensor& x) {
    return apply_rotary(x.unsqueeze(0), input.tables().cos_BTH, input.tables().sin_BTH)[0];
  };
  const auto q = turned(heads(weights.q_weight, weights.q_bias)),
             k = turned(heads(weights.k_weight, weights.k_bias)), v = heads(weights.v_weight, weights.v_bias);
  std::vector<torch::Tensor> outputs;
  for (int64_t n = 0; n < size.shape.n_heads; ++n) {
    const int64_t g = n / size.shape.heads_per_kv();
    const auto step = torch::softplus(parameters["dt_bias"][n]), A = parameters["A_log"][n].exp();
    const auto places = torch::arange(size.T, kDouble);
    const auto decay = (-(places.unsqueeze(1) - places.unsqueeze(0)) * step * A).exp().tril();
    const auto y = torch::matmul(torch::matmul(q[n], k[g].t()) * decay * step, v[g]);
    outputs.push_back(y / (y.square().mean(-1, true) + 1e-5).sqrt());
  }
  const auto expected = torch::linear(torch::cat(outputs, 1), weights.o_weight, weights.o_bias).unsqueeze(0);
  // A head's norm divides by its size, which is small where the decay is strong.
  CHECK(close(module->forward(input), expected, 100 * tolerance(size, kDouble, expected)));
}

}  // namespace
}  // namespace attnlab::test
