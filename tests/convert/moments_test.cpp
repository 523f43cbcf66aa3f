// The transforms into gta, gla, gqla and tpa: their stages, and that calibration text decides what is kept.
#include "attention/gla.h"
#include "attention/gqla.h"
#include "attention/gta.h"
#include "attention/shared_rotary.h"
#include "attention/tpa_attention.h"
#include "biased_decoder.h"
#include "catch.h"

namespace attnlab::test {
namespace {

std::vector<std::string> stage_names(const MemoryConversion& done) {
  std::vector<std::string> names;
  for (const auto& stage : done.report.stages) names.push_back(stage.name);
  return names;
}

TEST_CASE(
    "tpa: as many products as KV heads lose nothing and ask for no text, fewer keep most of the text's "
    "energy") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto exact = convert_small(config, weights, Tpa::Config{});
  REQUIRE(stage_names(exact) == std::vector<std::string>{"compress"});
  CHECK(exact.report.stages[0].exact);
  CHECK(exact.report.stages[0].from_base.kl_divergence < 1e-9);
  CHECK_FALSE(make_transform(config, Tpa::Config{})->is_calibrated());

  const Tpa::Config narrow{.rank = 1};
  CHECK(make_transform(config, narrow)->is_calibrated());
  const auto cut = convert_small(config, weights, narrow);
  CHECK(cut.report.stages[0].cached_numbers == cut.report.base_cached_numbers / 2);
  CHECK(cut.report.stages[0].from_base.kl_divergence > 1e-6);
  // Of layer 0's keys over the text: no other single direction of heads keeps more than this one.
  const auto x_PD = first_inputs(config, weights);
  const SecondMoment of_text = [&](const torch::Tensor& weight, const torch::Tensor& bias) {
    const auto y = torch::linear(x_PD, weight.to(torch::kFloat64), bias.to(torch::kFloat64));
    return torch::matmul(y.t(), y);
  };
  const auto gqa = gqa_weights(weights, "model.layers.0.self_attn.");
  const AttentionShape shape = config.attention_shape();
  const auto of = [&](const SecondMoment& moment) {
    const auto factors = head_factors(shape, gqa.k_weight, gqa.k_bias, 1, moment);
    const auto rebuilt = torch::einsum("nr,rhx->nhx", {factors.heads_NR, factors.rows_RHx});
    const auto keys = rows_with_bias(gqa.k_weight, gqa.k_bias).unflatten(0, {shape.n_kv_heads, -1});
    const auto error = (rebuilt - keys.repeat_interleave(shape.heads_per_kv(), 0)).flatten(0, 1);
    return moment_of_rows(error, shape.d_model, of_text).trace().item<double>();
  };
  CHECK(of(of_text) < of(white_moment));
}

TEST_CASE("gla and gqla: rotary is gathered, then latents are cut, and each stage tells what it keeps") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  for (const VariantConfig& variant :
       {VariantConfig(Gla::Config{.latent_width = 5}), VariantConfig(Gqla::Config{.kv_lora_rank = 10})}) {
    INFO(variant_name(variant));
    const auto done = convert_small(config, weights, variant);
    REQUIRE(stage_names(done) == std::vector<std::string>{"gather_rotary", "compress"});
    const auto& gathered = done.report.stages[0];
    const auto& compressed = done.report.stages[1];
    CHECK(gathered.from_base.kl_divergence > 0);
    CHECK(compressed.cached_numbers == config.n_layers * (10 + config.head_dim));
    CHECK(compressed.cached_numbers < gathered.cached_numbers);
  }
  const auto whole = convert_small(config, weights, Gla::Config{});
  CHECK(stage_names(whole) == std::vector<std::string>{"compress"});
}

TEST_CASE("gla, gqla and gta: one KV head that keeps all its rotary is taken over exactly, without text") {
  DecoderConfig config = biased_config();
  config.n_kv_heads = 1;
  const auto weights = biased_weights(config);
  for (const VariantConfig& variant : {VariantConfig(Gla::Config{}), VariantConfig(Gqla::Config{}),
                                       VariantConfig(Gta::Config{.qk_rope_head_dim = config.head_dim})}) {
    INFO(variant_name(variant));
    CHECK_FALSE(make_transform(config, variant)->is_calibrated());
    const auto done = convert_small(config, weights, variant);
    CHECK(done.report.stages.back().exact);
    CHECK(done.report.stages.back().from_base.kl_divergence < 1e-9);
  }
}

}  // namespace
}  // namespace attnlab::test
