// What an exact stage may move logits by: estimated, and measured where scores make more of rounding than that.
#include "convert/rounding.h"

#include "attention/mla_deepseek.h"
#include "biased_decoder.h"
#include "catch.h"
#include "core/errors.h"
#include "spoiled.h"

namespace attnlab::test {
namespace {

// Scores of some hundreds: softmax is all but a choice, and where two tokens are close, an error of a score in
// its seventh digit moves it.
TensorMap large_scores(const DecoderConfig& config) {
  TensorMap weights = biased_weights(config);
  for (auto& [name, tensor] : weights)
    if (name.find("k_proj") != std::string::npos) tensor = tensor * 60;
  return weights;
}

TEST_CASE(
    "large scores make more of rounding than the estimate, and exact stages are held to what is measured") {
  const auto config = biased_config();
  const auto only_stage = [&](const TensorMap& weights) {
    return convert_small(config, weights, variant_of("mla_orthogonal")).report.stages.at(0);
  };
  const auto usual = only_stage(biased_weights(config));
  CHECK(usual.tolerance == rounding_tolerance(config, usual.from_base.largest_logit));
  const auto large = only_stage(large_scores(config));
  const double estimate = rounding_tolerance(config, large.from_base.largest_logit);
  CHECK(large.max_difference.value() > estimate);  // 6 times
  CHECK(large.tolerance > 5 * estimate);
  CHECK(large.tolerance < 1e-2 * large.from_base.largest_logit);
}

TEST_CASE("a stage that should change nothing and is wrong is refused, with small scores and with large ones") {
  const auto config = biased_config();
  for (const bool large : {false, true}) {
    Spoiled transform(make_transform(config, variant_of("mla_identity")),
                      [](const LayerTask& task, TensorMap& tensors) {
                        auto& output = tensors.at("self_attn.o_proj.weight");
                        if (task.layer == 2) output = output * 1.01;
                      });
    const auto weights = large ? large_scores(config) : biased_weights(config);
    CHECK_THROWS_WITH(convert_in_memory(config, weights, transform, random_data(config), torch::kCPU,
                                        [](const std::string&, int64_t, int64_t) {}),
                      ContainsSubstring("it should change nothing, but moved logits by up to"));
  }
}

// Two stages: one that makes scores large, and one that should change nothing.
class Sharpened final : public Transform {
 public:
  // spoil: a factor on an output matrix that the second stage makes.
  Sharpened(const DecoderConfig& config, double spoil)
      : exact_(make_transform(config, variant_of("mla_orthogonal"))), stages_(exact_->stages()) {
    const auto convert = stages_.at(0).convert;
    stages_[0].convert = [convert, spoil](const LayerTask& task, LayerFacts& facts) {
      auto tensors = convert({.layer = task.layer, .base = task.before, .before = task.before}, facts);
      if (task.layer == 2) tensors["self_attn.o_proj.weight"] = spoil * tensors.at("self_attn.o_proj.weight");
      return tensors;
    };
    stages_.insert(stages_.begin(),
                   {.name = "sharpen",
                    .does = "keys times 60",
                    .form = native_form(config),
                    .convert = [](const LayerTask& task, LayerFacts&) { return sharpened(task.before); }});
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return exact_->settled(); }

 private:
  static TensorMap sharpened(TensorMap tensors) {
    for (auto& [name, tensor] : tensors)
      if (name.find("k_proj") != std::string::npos) tensor = tensor * 60;
    return tensors;
  }

  std::unique_ptr<Transform> exact_;
  std::vector<Stage> stages_;
};

MemoryConversion sharpen(double spoil) {
  const auto config = biased_config();
  Sharpened transform(config, spoil);
  return convert_in_memory(config, biased_weights(config), transform, random_data(config), torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

TEST_CASE("an exact stage is held to what rounding makes of the model before it, not of the base") {
  const auto config = biased_config();
  const auto base = convert_small(config, biased_weights(config), variant_of("mla_orthogonal")).report;
  const auto stages = sharpen(1).report.stages;
  const double estimate = rounding_tolerance(config, stages.at(1).from_base.largest_logit);
  // The base makes no more of rounding than the estimate says; the model that the first stage leaves does.
  CHECK(base.stages.at(0).max_difference.value() < estimate);
  CHECK(stages.at(1).max_difference.value() > estimate);
  CHECK(stages.at(0).tolerance == estimate);  // it is not exact, and nothing is measured for it
  CHECK(stages.at(1).tolerance > stages.at(1).max_difference.value());
  CHECK(stages.at(1).tolerance < 1e-2 * stages.at(1).from_base.largest_logit);
}

TEST_CASE("rounding is measured behind calibrated stages that lose something, too") {
  const auto config = biased_config();
  const auto report = convert_small(config, large_scores(config),
                                    MlaDeepseek::Config{.kv_lora_rank = 8, .freqfold = "2", .collapse = 2})
                          .report;
  const auto& exported = report.stages.back();
  REQUIRE(exported.name == "export");
  CHECK(exported.max_difference.value() > rounding_tolerance(config, exported.from_base.largest_logit));
  CHECK(exported.tolerance > exported.max_difference.value());
  CHECK(exported.tolerance < 2e-2 * exported.from_base.largest_logit);
}

TEST_CASE("behind a stage that makes more of rounding, a wrong one is refused all the same") {
  CHECK_THROWS_WITH(sharpen(1.05), ContainsSubstring("it should change nothing, but moved logits by up to"));
}

}  // namespace
}  // namespace attnlab::test
