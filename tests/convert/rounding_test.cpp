// What rounding explains of a stage that should change nothing: derived, and measured where scores multiply it.
#include <algorithm>
#include <cmath>

#include "attention/mla_identity.h"
#include "biased_decoder.h"
#include "catch.h"
#include "core/errors.h"

namespace attnlab::test {
namespace {

// Large scores: keys whose biases dwarf what the text says, as in Qwen2.5's first layers.
TensorMap weights_with_large_scores(const DecoderConfig& config) {
  TensorMap weights = biased_weights(config);
  for (auto& [name, tensor] : weights)
    if (name.ends_with("k_proj.bias") || name.ends_with("q_proj.weight")) tensor = 60 * tensor;
  return weights;
}

// One stage that says it is exact, and multiplies the matrix behind the heads.
class Scaled : public Transform {
 public:
  Scaled(const DecoderConfig& config, double factor) {
    stages_.push_back({.name = "scale",
                       .does = "one matrix times a number",
                       .form = native_form(config),
                       .exact = true,
                       .convert = [factor](const LayerTask& task, LayerFacts&) {
                         TensorMap after = task.before;
                         if (task.layer == 0)
                           after["self_attn.o_proj.weight"] = factor * after.at("self_attn.o_proj.weight");
                         return after;
                       }});
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {}; }

 private:
  std::vector<Stage> stages_;
};

MemoryConversion scaled_by(double factor, const DecoderConfig& config, const TensorMap& weights) {
  Scaled transform(config, factor);
  return convert_in_memory(config, weights, transform, random_data(config), torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

}  // namespace

TEST_CASE("states keep so many bits of their mantissas, to the nearest") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto& embedding = weights.at("model.embed_tokens.weight");
  const auto data = random_data(config);
  LayerStream stream(native_form(config), data.heldout, embedding, torch::kCPU);
  const auto before = stream.states().at(0).clone();
  stream.coarsen(12);
  const auto after = stream.states().at(0);
  REQUIRE(before.numel() == 2 * 24 * 20);
  double worst = 0;
  for (int64_t i = 0; i < before.numel(); ++i) {
    const float x = before.flatten()[i].item<float>(), y = after.flatten()[i].item<float>();
    int exponent = 0;
    std::frexp(x, &exponent);  // x in [½, 1) · 2^exponent
    const double step = std::ldexp(1.0, exponent - 12);
    CHECK(std::fmod(std::abs(y), step) == 0);
    worst = std::max(worst, std::abs(static_cast<double>(x) - y) / step);
  }
  CHECK(worst <= 0.5);
  CHECK(worst > 0.4);  // it does round
}

TEST_CASE("where scores are large, rounding is measured, and what is exact is taken for exact") {
  const auto config = biased_config();
  const auto usual = convert_small(config, biased_weights(config), MlaIdentity::Config{}).report.stages.back();
  const auto large =
      convert_small(config, weights_with_large_scores(config), MlaIdentity::Config{}).report.stages.back();
  REQUIRE(usual.exact);
  REQUIRE(large.exact);
  const double derived = rounding_tolerance(config, large.from_base.largest_logit);
  INFO(usual.tolerance << " " << large.tolerance << ", derived " << derived << ", moved "
                       << large.max_difference);
  CHECK(large.tolerance > 4 * derived);
  CHECK(large.max_difference <= large.tolerance);
}

TEST_CASE("a stage that says it is exact and isn't ends the conversion, however large scores are") {
  const auto config = biased_config();
  for (const auto& weights : {biased_weights(config), weights_with_large_scores(config)}) {
    CHECK(scaled_by(1, config, weights).report.stages[0].max_difference == 0);
    CHECK_THROWS_AS(scaled_by(1.02, config, weights), RunError);
  }
}

}  // namespace attnlab::test
