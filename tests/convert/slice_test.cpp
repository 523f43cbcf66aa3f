// SliceGPT: a rotation changes nothing, a cut is measured, and both are a form that is saved and read.
#include <nlohmann/json.hpp>

#include "biased_decoder.h"
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "convert/conversion_json.h"
#include "convert/slice_transform.h"

namespace attnlab::test {
namespace {

// Norms whose weights are far from 1, so that a norm that is not fused shows.
TensorMap normed_weights(const DecoderConfig& config) {
  TensorMap weights = biased_weights(config);
  torch::manual_seed(6);
  for (auto& [name, tensor] : weights)
    if (name.ends_with("norm.weight")) tensor = 1 + 0.4 * torch::rand(tensor.sizes());
  return weights;
}

MemoryConversion cut_stream(const DecoderConfig& config, const TensorMap& weights,
                            std::vector<ConversionStep> steps) {
  const auto transform = make_transform(native_form(config), steps);
  return convert_in_memory(config, weights, *transform, random_data(config), torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

ConversionStep sliced(const SliceOptions& options) { return {options, {0, 1, 2}}; }

TEST_CASE("a stream that is rotated and not cut gives the same logits, tied or not, behind any attention") {
  for (const bool tied : {false, true}) {
    DecoderConfig config = biased_config();
    config.tie_embeddings = tied;
    const auto weights = normed_weights(config);
    for (const bool latent : {false, true}) {
      std::vector<ConversionStep> steps{sliced({.sparsity = 0})};
      if (latent) steps.insert(steps.begin(), {variant_of("mla_v2"), {0, 1, 2}});
      const auto done = cut_stream(config, weights, steps);
      const auto& stage = done.report.stages.back();
      CHECK(stage.exact);
      CHECK(stage.max_difference <= stage.tolerance);
      CHECK(done.form.sliced->width == config.d_model);
      CHECK_FALSE(done.form.config.tie_embeddings);
      // It is no accident: the matrices are others.
      CHECK_FALSE(torch::allclose(done.weights.at("model.layers.0.mlp.up_proj.weight"),
                                  weights.at("model.layers.0.mlp.up_proj.weight"), 0.1, 0.1));
      const auto ids = random_data(config).heldout.ids_BT[0];
      CHECK((logits_of(done.form, done.weights, ids) - logits_of(native_form(config), weights, ids))
                .abs()
                .max()
                .item<double>() < 2 * stage.tolerance);
    }
  }
}

TEST_CASE("a cut moves logits less the more stays, and less than cutting numbers of the stream as they lie") {
  const auto config = biased_config();
  const auto weights = normed_weights(config);
  double before = 1e9;
  for (const int64_t width : {10, 16, 19}) {
    const auto done = cut_stream(config, weights, {sliced({.width = width})});
    const auto& stage = done.report.stages[0];
    CHECK_FALSE(stage.exact);
    CHECK(stage.from_base.kl_divergence < before);
    before = stage.from_base.kl_divergence;
    CHECK(stage.layers[2].at("energy kept behind it") < 1);
    CHECK(done.weights.at("model.embed_tokens.weight").size(1) == width);
    CHECK(done.weights.at("model.layers.2.mlp_shortcut_Q").size(1) == config.d_model);
    CHECK(done.weights.at("model.layers.1.mlp_shortcut_Q").size(1) == width);
    CHECK(stage.cached_numbers == done.report.base_cached_numbers);
    // What was measured is what the tensors compute.
    const auto ids = random_data(config).heldout.ids_BT[0];
    CHECK((logits_of(done.form, done.weights, ids) - logits_of(native_form(config), weights, ids))
              .abs()
              .max()
              .item<double>() == Approx(stage.from_base.max_logit_difference).epsilon(1e-3));
  }
}

TEST_CASE("a sliced model is written and read in the own layout, its head cut or not") {
  for (const bool head : {false, true}) {
    DecoderConfig config = biased_config();
    config.family = Family::llama;  // whose config.json says all these biases
    const auto done = cut_stream(config, normed_weights(config), {sliced({.width = 12, .slice_head = head})});
    const TemporaryFolder folder;
    write_checkpoint(folder.path(), write_model_form(done.form), done.weights);
    const auto checkpoint = Checkpoint::open(folder.path());
    CHECK(checkpoint.config().at("model_type") == "attnlab");
    CHECK(checkpoint.config().at("variant") == "gqa");
    const auto form = read_checkpoint_form(checkpoint);
    CHECK(form.sliced == done.form.sliced);
    check_checkpoint(checkpoint, form);
    const auto decoder = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
    const torch::NoGradGuard no_grad;
    const auto ids = random_ids(1, 9, config.vocab_size);
    CHECK(torch::allclose(decoder->logits(decoder->hidden(ids)), logits_of(done.form, done.weights, ids), 1e-4,
                          1e-5));
    auto states = decoder->make_states(1, 9);
    std::vector<torch::Tensor> steps;
    for (int64_t t = 0; t < 9; ++t)
      steps.push_back(decoder->hidden(ids.narrow(1, t, 1), {.sequence = {.begin = t}, .states = &states}));
    CHECK(torch::allclose(torch::cat(steps, 1), decoder->hidden(ids), 1e-4, 1e-4));
    auto broken = nlohmann::json::parse(write_model_form(done.form).dump());
    broken["sliced"]["width"] = 21;
    CHECK_THROWS_WITH(read_model_form(broken, "config.json"),
                      ContainsSubstring("sliced.width: found 21, expected 1 to 20"));
  }
}

TEST_CASE(
    "the width is the sparsity's share, rounded down, and the mean is subtracted where that is asked for") {
  const auto config = biased_config();  // d_model 20
  const auto weights = normed_weights(config);
  CHECK(cut_stream(config, weights, {sliced({.sparsity = 0.25})}).form.sliced->width == 8);
  CHECK(cut_stream(config, weights, {sliced({.sparsity = 0.25, .round_interval = 1})}).form.sliced->width ==
        15);
  const auto mean = cut_stream(config, weights, {sliced({.sparsity = 0, .subtract_mean = true})});
  CHECK_FALSE(mean.report.stages[0].exact);
  CHECK(mean.report.stages[0].max_difference > 0.01);
  const auto again = steps_from_json(nlohmann::json::parse(steps_to_json(mean.settled).dump()));
  CHECK(std::get<SliceOptions>(again[0].to).subtract_mean);
}

std::string slice_refusal(const DecoderConfig& config, const std::vector<ConversionStep>& steps) {
  try {
    make_transform(native_form(config), steps);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("streams that can't be cut are refused") {
  const auto config = biased_config();
  CHECK_THAT(slice_refusal(config, {sliced({.width = 21})}),
             ContainsSubstring("width: found 21 numbers that stay, expected 1 to"));
  CHECK_THAT(slice_refusal(config, {sliced({.sparsity = 0.9})}),
             ContainsSubstring("found 0 numbers that stay"));
  CHECK_THAT(slice_refusal(config, {{SliceOptions{.width = 12}, {0, 1}}}),
             ContainsSubstring("found 2 of 3 layers"));
  CHECK_THAT(slice_refusal(config, {sliced({.width = 12}), sliced({.width = 10})}),
             ContainsSubstring("cut already"));
  for (const VariantConfig& behind : {variant_of("mla_identity"), variant_of("mla_deepseek")})
    CHECK_THAT(slice_refusal(config, {sliced({.width = 12}), {behind, {0}}}),
               ContainsSubstring("sliced: found a stream cut to 12 numbers, expected a whole stream: convert "
                                 "attention first, slice then"));
  DecoderConfig gemma = config;
  gemma.family = Family::gemma2;
  CHECK_THAT(slice_refusal(gemma, {sliced({.width = 12})}),
             ContainsSubstring("norms in front of blocks alone"));
}

}  // namespace
}  // namespace attnlab::test
