// What an exact stage may move logits by: estimated, and measured where scores make more of rounding than that.
#include "convert/rounding.h"

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

}  // namespace
}  // namespace attnlab::test
