#include "convert/equivalence.h"

#include <cmath>
#include <limits>

#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::random_ids;
using test::small_config;

constexpr double single_eps = std::numeric_limits<float>::epsilon() / 2;
constexpr double double_eps = std::numeric_limits<double>::epsilon() / 2;

torch::Tensor logits_PV(Decoder& decoder, const torch::Tensor& ids_BT) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(ids_BT)).flatten(0, 1).to(torch::kFloat64).contiguous();
}

double log_sum_exp(const double* x, int64_t n) {
  double largest = x[0], sum = 0;
  for (int64_t i = 1; i < n; ++i) largest = std::max(largest, x[i]);
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - largest);
  return largest + std::log(sum);
}

// The definitions, number by number.
Equivalence naive(const torch::Tensor& a_PV, const torch::Tensor& b_PV) {
  const int64_t P = a_PV.size(0), V = a_PV.size(1);
  Equivalence out{.positions = P};
  double mean = 0, square = 0;
  for (int64_t p = 0; p < P; ++p) {
    const double *a = a_PV.data_ptr<double>() + p * V, *b = b_PV.data_ptr<double>() + p * V;
    const double norm_a = log_sum_exp(a, V), norm_b = log_sum_exp(b, V);
    for (int64_t v = 0; v < V; ++v) {
      out.max_logit_difference = std::max(out.max_logit_difference, std::abs(a[v] - b[v]));
      out.mean_logit_difference += std::abs(a[v] - b[v]) / static_cast<double>(P * V);
      out.kl_divergence +=
          std::exp(a[v] - norm_a) * ((a[v] - norm_a) - (b[v] - norm_b)) / static_cast<double>(P);
      mean += a[v] / static_cast<double>(P * V);
      square += a[v] * a[v] / static_cast<double>(P * V);
    }
  }
  out.logit_deviation = std::sqrt(square - mean * mean);
  return out;
}

void check_like_naive(Decoder& before, Decoder& after, const torch::Tensor& ids_BT) {
  const auto a_PV = logits_PV(before, ids_BT), b_PV = logits_PV(after, ids_BT);
  const Equivalence found = compare_logits(before, after, ids_BT), expected = naive(a_PV, b_PV);
  // Products with one hidden state may add in another order than those with all: D terms in float32.
  const auto D = static_cast<double>(before.config().d_model);
  const double size = std::max(a_PV.abs().max().item<double>(), b_PV.abs().max().item<double>());
  const double rounding = 2 * D * single_eps * size;
  CHECK(found.positions == ids_BT.numel());
  CHECK(found.max_logit_difference == Approx(expected.max_logit_difference).epsilon(0).margin(rounding));
  CHECK(found.mean_logit_difference == Approx(expected.mean_logit_difference).epsilon(0).margin(rounding));
  // dKL = Σ dp (log p - log q) and terms of that size: the log ratio is at most twice the largest difference.
  const double ratio = 1 + 2 * expected.max_logit_difference;
  CHECK(found.kl_divergence == Approx(expected.kl_divergence).epsilon(0).margin(4 * ratio * rounding));
  CHECK(found.logit_deviation == Approx(expected.logit_deviation).epsilon(0).margin(rounding));
  CHECK(found.kl_divergence > 0.01);
}

TEST_CASE("a model does not differ from itself") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const Equivalence same = compare_logits(*decoder, *decoder, random_ids(3, 13, config.vocab_size));
  CHECK(same.max_logit_difference == 0);
  CHECK(same.mean_logit_difference == 0);
  CHECK(same.kl_divergence == 0);
  CHECK(same.logit_deviation > 0.5);
  CHECK(same.positions == 39);
}

TEST_CASE("differences are what the definitions give") {
  const auto config = small_config();
  const auto a = make_decoder(config, lively_weights(config, 1), Gqa::Config{});
  const auto b = make_decoder(config, lively_weights(config, 2), MlaIdentity::Config{});
  check_like_naive(*a, *b, random_ids(3, 13, config.vocab_size));
  check_like_naive(*a, *b, random_ids(1, 1, config.vocab_size));
}

TEST_CASE("a vocabulary whose logits are made piece by piece") {
  auto config = small_config();
  config.vocab_size = 90001;  // 46 positions a piece
  const auto a = make_decoder(config, lively_weights(config, 1), Gqa::Config{});
  const auto b = make_decoder(config, lively_weights(config, 2), Gqa::Config{});
  check_like_naive(*a, *b, random_ids(3, 31, config.vocab_size));
}

// Each logit is the end of a chain of sums; a sum of n terms errs by at most n eps Σ|terms|, and stages add up.
// A layer: projections in (D), up-projection (G·H), scores (H), softmax and its product (2 T), projection out
// (N·H), gate and up (D), down (d_ff); then the output matrix (D). Twice, as both models round.
double rounding_bound(const DecoderConfig& c, int64_t T, double largest_logit) {
  const int64_t layer =
      2 * c.d_model + c.n_kv_heads * c.head_dim + c.head_dim + 2 * T + c.n_heads * c.head_dim + c.d_ff;
  return 2 * single_eps * static_cast<double>(c.n_layers * layer + c.d_model) * largest_logit;
}

TEST_CASE("exact conversions differ by rounding, and rank truncation differs more the less it keeps") {
  auto config = small_config();
  config.family = Family::qwen2;
  config.qkv_bias = true;
  auto base = lively_weights(config);
  for (auto& [name, tensor] : base)
    if (name.ends_with(".bias")) tensor = torch::linspace(-0.3, 0.4, tensor.numel());
  const auto before = make_decoder(config, base, Gqa::Config{});
  const auto ids_BT = random_ids(3, 17, config.vocab_size);
  const auto difference = [&](const VariantConfig& variant) {
    return compare_logits(*before, *make_decoder(config, base, variant), ids_BT);
  };
  const double bound = rounding_bound(config, 17, logits_PV(*before, ids_BT).abs().max().item<double>());
  for (const VariantConfig& exact :
       {VariantConfig(Gqa::Config{}), VariantConfig(MlaIdentity::Config{}),
        VariantConfig(MlaOrthogonal::Config{.split = SingularSplit::balanced}),
        VariantConfig(MlaOrthogonal::Config{.split = SingularSplit::left}),
        VariantConfig(MlaOrthogonal::Config{.split = SingularSplit::right, .rank = config.head_dim})}) {
    const Equivalence found = difference(exact);
    INFO(variant_name(exact));
    CHECK(found.max_logit_difference <= bound);
    CHECK(found.mean_logit_difference <= found.max_logit_difference);
    // KL = log E_p[e^δ] - E_p[δ] for δ = after - before, at most range(δ)² / 8 (Hoeffding's lemma).
    const double rounding_kl = 4 * static_cast<double>(config.vocab_size) * double_eps;
    CHECK(std::abs(found.kl_divergence) <= std::pow(found.max_logit_difference, 2) / 2 + rounding_kl);
  }
  double max_before = 100 * bound, kl_before = 0;
  for (const int64_t rank : {5, 3, 1}) {
    const Equivalence found = difference(MlaOrthogonal::Config{.rank = rank});
    INFO("rank " << rank);
    CHECK(found.max_logit_difference > max_before);
    CHECK(found.kl_divergence > kl_before);
    max_before = found.max_logit_difference;
    kl_before = found.kl_divergence;
  }
}

TEST_CASE("a NaN is not lost among other numbers, and nothing to compare gives zeros") {
  const auto config = small_config();
  const auto base = lively_weights(config);
  const auto before = make_decoder(config, base, Gqa::Config{});
  auto broken = base;
  broken["lm_head.weight"] = base.at("lm_head.weight").clone();
  broken["lm_head.weight"][5][2] = std::nan("");
  const auto after = make_decoder(config, broken, Gqa::Config{});
  const auto ids_BT = random_ids(2, 5, config.vocab_size);
  const Equivalence found = compare_logits(*before, *after, ids_BT);
  CHECK(std::isnan(found.max_logit_difference));
  CHECK(std::isnan(found.mean_logit_difference));
  CHECK(std::isnan(found.kl_divergence));
  CHECK(compare_logits(*before, *after, ids_BT.narrow(1, 0, 0)).positions == 0);
}

TEST_CASE("comparing leaves gradients and grad mode alone") {
  const auto config = small_config();
  const auto a = make_decoder(config, lively_weights(config, 1), Gqa::Config{});
  const auto b = make_decoder(config, lively_weights(config, 2), Gqa::Config{});
  compare_logits(*a, *b, random_ids(2, 5, config.vocab_size));
  CHECK(torch::GradMode::is_enabled());
  for (const auto& parameter : a->parameters()) CHECK_FALSE(parameter.grad().defined());
}

}  // namespace
}  // namespace attnlab
