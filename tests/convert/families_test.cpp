// Every family's reference checkpoint into every form: exact stages hold on all of them (run_conversion throws
// otherwise), and what can't be converted is refused with the reason.
#include "model/families/families.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "attention/care.h"
#include "attention/gta.h"
#include "attention/mha2mla.h"
#include "attention/mla_deepseek.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/mla_v2.h"
#include "catch.h"
#include "convert/calibration_text.h"
#include "convert/memory_conversion.h"
#include "model/decoder_weights.h"
#include "spoiled.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

fs::path checkpoints() { return test::shared_dir() / "fixtures" / "hf"; }

struct Base {
  explicit Base(const std::string& name)
      : checkpoint(Checkpoint::open(checkpoints() / name)),
        config(read_decoder_config(checkpoint.config(), name)),
        weights(read_base_weights(checkpoint, config)) {}
  Checkpoint checkpoint;
  DecoderConfig config;
  TensorMap weights;
};

MemoryConversion convert(const DecoderConfig& config, const TensorMap& weights, const VariantConfig& variant,
                         const TransformOptions& options = {}) {
  const auto transform = make_transform(config, variant, options);
  const ConversionData data{make_batches(random_rows(config.vocab_size, 32, 48, 1)),
                            make_batches(random_rows(config.vocab_size, 2, 48, 2))};
  return convert_in_memory(config, weights, *transform, data, torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

MemoryConversion convert(const Base& base, const VariantConfig& variant, const TransformOptions& options = {}) {
  return convert(base.config, base.weights, variant, options);
}

std::string refusal(const Base& base, const VariantConfig& variant) {
  try {
    convert(base, variant);
  } catch (const InputError& error) {
    return error.what();
  }
  return "converted";
}

const std::vector<std::string> kConvertible{"gemma2_softcap_alternating",
                                            "llama2_mha",
                                            "llama32_rope_scaled_tied",
                                            "llama3_gqa",
                                            "llama3_gqa_bf16_sharded",
                                            "mistral_nemo_head_dim",
                                            "mistral_window",
                                            "mixtral_moe",
                                            "phi4_fused",
                                            "qwen25_bias_tied",
                                            "qwen25_untied"};
// Those that DeepSeek-V3 can't say.
const std::vector<std::string> kOwnLayout{"gemma2_softcap_alternating", "mistral_window", "mixtral_moe"};

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST_CASE("all families convert to all forms, and exact stages change nothing") {
  if (!fs::exists(checkpoints())) SKIP_TEST("no reference checkpoints beside the checkout");
  for (const auto& name : kConvertible) {
    const Base base(name);
    for (const VariantConfig& variant :
         {VariantConfig(MlaIdentity::Config{}), VariantConfig(MlaOrthogonal::Config{}),
          VariantConfig(MlaV2::Config{}), VariantConfig(MlaV2::Config{.absorb = false}),
          VariantConfig(Care::Config{})}) {
      INFO(name << " to " << variant_name(variant));
      const auto done = convert(base, variant);
      REQUIRE(done.report.stages.size() == 1);
      CHECK(done.report.stages[0].exact);
      CHECK(done.report.stages[0].from_base.kl_divergence < 1e-9);
    }
    INFO(name << " to mha2mla and mla_deepseek");
    CHECK(convert(base, Mha2Mla::Config{.qk_rope_head_dim = base.config.head_dim}).report.stages[1].exact);
    CHECK(convert(base, Mha2Mla::Config{}).report.stages[1].exact);
    const auto done = convert(base, MlaDeepseek::Config{.freqfold = "1"});
    const auto& stages = done.report.stages;
    REQUIRE(stages.size() == (holds(kOwnLayout, name) ? 3 : 4));
    CHECK(stages[0].exact);        // rotate
    CHECK_FALSE(stages[1].exact);  // remove_rope
    CHECK(stages[2].exact);        // compress
    // One KV head: nothing is rotated and none of its numbers lose rotary position.
    if (base.config.n_kv_heads > 1) CHECK(stages[1].from_base.max_logit_difference > 0.1);
    CHECK(stages[2].cached_numbers == done.report.base_cached_numbers);
    CHECK(form_name(done.form) == (holds(kOwnLayout, name) ? "mla_deepseek" : "deepseek_mla"));
  }
}

TEST_CASE(
    "norms of query and key heads and longrope are refused, and the norms fold in where that is asked for") {
  if (!fs::exists(checkpoints())) SKIP_TEST("no reference checkpoints beside the checkout");
  const Base qwen3("qwen3_qk_norm"), phi("phi4_mini_longrope_partial");
  CHECK_THAT(refusal(qwen3, MlaDeepseek::Config{}), ContainsSubstring("does not commute"));
  CHECK_THAT(refusal(phi, MlaDeepseek::Config{}), ContainsSubstring("turns 12 of 16 numbers"));
  CHECK_THAT(refusal(qwen3, Mha2Mla::Config{}), ContainsSubstring("does not commute"));
  CHECK_THAT(refusal(phi, Mha2Mla::Config{}), ContainsSubstring("turns 12 of 16 numbers"));
  CHECK(refusal(qwen3, Care::Config{.rank = 7}) == "converted");
  CHECK(refusal(phi, Care::Config{}) == "converted");
  CHECK(refusal(qwen3, MlaIdentity::Config{}) == "converted");
  CHECK(refusal(phi, MlaOrthogonal::Config{}) == "converted");
  const auto folded = convert(qwen3, MlaDeepseek::Config{.freqfold = "1"}, {.approximate_qk_norm = true});
  REQUIRE(folded.report.stages.size() == 5);
  CHECK(folded.report.stages[0].name == "fold_qk_norm");
  CHECK(folded.report.stages[0].from_base.max_logit_difference > 0.01);
  CHECK(folded.form.config.family == Family::deepseek_v3);
}

// Five layers with a window and frequencies of their own, one without.
TEST_CASE("gemma3 becomes what keeps norms of keys, exactly, and says of the other forms that it can't") {
  const DecoderConfig config{.family = Family::gemma3,
                             .vocab_size = 29,
                             .d_model = 24,
                             .n_layers = 6,
                             .n_heads = 4,
                             .n_kv_heads = 2,
                             .head_dim = 8,
                             .d_ff = 20,
                             .max_positions = 64,
                             .rope_theta = 500,
                             .window_rope_theta = 20,
                             .window = 5,
                             .window_layers = {0, 1, 2, 3, 4},
                             .tie_embeddings = true};
  REQUIRE_FALSE(decoder_problem(config));
  TensorMap weights = random_base_weights(config, 5);
  for (auto& [name, tensor] : weights) tensor = name.ends_with("norm.weight") ? 0.1 * tensor : 10 * tensor;
  for (const VariantConfig& exact :
       {VariantConfig(MlaIdentity::Config{}), VariantConfig(MlaOrthogonal::Config{}),
        VariantConfig(MlaV2::Config{.absorb = false}), VariantConfig(Care::Config{})}) {
    INFO(variant_name(exact));
    const auto done = convert(config, weights, exact);
    CHECK(done.report.stages.back().exact);
    CHECK(done.form.config.family == Family::gemma3);
    CHECK(done.form.config.window_rope_theta == 20);
  }
  for (const bool fold : {false, true})
    for (const VariantConfig& other : {VariantConfig(MlaDeepseek::Config{}), VariantConfig(Mha2Mla::Config{}),
                                       VariantConfig(Gta::Config{})}) {
      INFO(variant_name(other) << ", fold " << fold);
      CHECK_THROWS_WITH(convert(config, weights, other, {.approximate_qk_norm = fold}),
                        ContainsSubstring("mla_identity, mla_orthogonal, mla_v2 and care keep it"));
    }
}

// Rows of 48 tokens: dynamic frequencies are those of long sequences.
TEST_CASE("yarn and dynamic frequencies stay in each form, and DeepSeek-V3 says them of whole heads only") {
  DecoderConfig config{.vocab_size = 29,
                       .d_model = 24,
                       .n_layers = 2,
                       .n_heads = 4,
                       .n_kv_heads = 2,
                       .head_dim = 8,
                       .d_ff = 20,
                       .max_positions = 32};
  const RopeScaling yarn{.type = RopeType::yarn,
                         .factor = 4,
                         .original_positions = 16,
                         .beta_fast = 4,
                         .mscale = 1,
                         .mscale_all_dim = 0.5};
  const RopeScaling dynamic{.type = RopeType::dynamic, .factor = 2, .original_positions = 32};
  for (const auto& scaling : {yarn, dynamic}) {
    INFO(name_of(scaling.type));
    config.rope_scaling = scaling;
    TensorMap weights = random_base_weights(config, 5);
    for (auto& [name, tensor] : weights)
      if (!name.ends_with("norm.weight")) tensor = 15 * tensor;
    const auto whole = convert(config, weights, MlaDeepseek::Config{.freqfold = "1"});
    REQUIRE(whole.report.stages.size() == 4);
    CHECK(whole.report.stages[2].exact);
    CHECK(whole.report.stages[3].exact);  // export
    CHECK(whole.form.config.rope_scaling->mscale_all_dim == 0);
    CHECK(whole.form.config.rope_scaling->table_factor() == scaling.table_factor());
    CHECK(whole.form.config.attention_shape().score.scale == 0);
    const auto thinned = convert(config, weights, MlaDeepseek::Config{.freqfold = "2", .collapse = 2});
    CHECK(thinned.report.stages.size() == 3);
    CHECK(form_name(thinned.form) == "mla_deepseek");
    CHECK(convert(config, weights, Mha2Mla::Config{}).report.stages[1].exact);
    CHECK(convert(config, weights, Gta::Config{}).report.stages.size() == 1);
    CHECK_THROWS_AS(convert(config, weights, MlaV2::Config{.rope = GroupRope::extend}), InputError);
  }
}

TEST_CASE("a wrong rotation can't leave unnoticed") {
  if (!fs::exists(checkpoints())) SKIP_TEST("no reference checkpoints beside the checkout");
  const Base base("llama3_gqa");
  test::Spoiled spoiled(make_transform(base.config, MlaDeepseek::Config{.freqfold = "1"}),
                        [](const LayerTask& task, TensorMap& tensors) {
                          if (task.layer != 1) return;
                          auto& up = tensors.at("self_attn.k_up_proj.weight");
                          up = up.clone();
                          up[0][0] += 0.01;
                        });
  const ConversionData data{make_batches(random_rows(256, 32, 48, 1)),
                            make_batches(random_rows(256, 2, 48, 2))};
  CHECK_THROWS_AS(convert_in_memory(base.config, base.weights, spoiled, data, torch::kCPU,
                                    [](const std::string&, int64_t, int64_t) {}),
                  RunError);
}

}  // namespace
}  // namespace attnlab
