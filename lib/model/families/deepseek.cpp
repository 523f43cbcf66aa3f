// DeepSeek-V2 and V3 with dense MLPs: MLA (arXiv 2405.04434). This is the form that conversion exports.
#include <fmt/format.h>

#include "core/errors.h"
#include "model/families/forms.h"

namespace attnlab {
namespace {

// Layers below first_k_dense_replace are dense, and all of them where there are no routed experts.
void require_dense(const JsonKeys& keys, const DecoderConfig& config, int64_t first_fallback) {
  const auto experts = keys.object().find("n_routed_experts");
  if (experts != keys.object().end() && (experts->is_null() || *experts == 0)) return;
  if (keys.count_or_zero("first_k_dense_replace", first_fallback) >= config.n_layers) return;
  keys.refuse("first_k_dense_replace",
              fmt::format("{} or more: only dense MLPs are supported for this family", config.n_layers));
}

MlaShape read_mla(const JsonKeys& keys, bool interleaved) {
  MlaShape mla{.q_lora_rank = 0,
               .kv_lora_rank = keys.count("kv_lora_rank"),
               .qk_nope_head_dim = keys.count("qk_nope_head_dim"),
               .qk_rope_head_dim = keys.count("qk_rope_head_dim"),
               .v_head_dim = keys.count("v_head_dim"),
               .interleaved = interleaved};
  if (!keys.object().contains("q_lora_rank"))
    keys.refuse("q_lora_rank", "a whole number from 1, or null: the queries are not compressed");
  if (keys.has("q_lora_rank")) mla.q_lora_rank = keys.count("q_lora_rank");
  if (mla.qk_rope_head_dim % 2 != 0)
    keys.refuse("qk_rope_head_dim", "an even number (rotary position turns pairs)");
  return mla;
}

// n_kv_heads and head_dim mean nothing here; one spelling for equal models.
void read_common_keys(const JsonKeys& keys, DecoderConfig& config, int64_t first_fallback, bool interleaved) {
  keys.require_only("mlp_bias", false);
  require_dense(keys, config, first_fallback);
  config.mla = read_mla(keys, interleaved);
  config.n_kv_heads = config.n_heads;
  config.head_dim = config.mla->qk_nope_head_dim + config.mla->qk_rope_head_dim;
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
}

void read_v2(const JsonKeys& keys, DecoderConfig& config) { read_common_keys(keys, config, 0, true); }

void read_v3(const JsonKeys& keys, DecoderConfig& config) {
  // Hugging Face takes null for false here.
  const bool null = keys.object().contains("rope_interleave") && !keys.has("rope_interleave");
  read_common_keys(keys, config, 3, !null && keys.flag("rope_interleave", true));
}

void write_v2(const DecoderConfig& config, nlohmann::ordered_json& out) {
  ATTNLAB_CHECK(config.mla.has_value());
  const MlaShape& mla = *config.mla;
  out["attention_bias"] = config.qkv_bias;
  out["q_lora_rank"] =
      mla.q_lora_rank > 0 ? nlohmann::ordered_json(mla.q_lora_rank) : nlohmann::ordered_json(nullptr);
  out["kv_lora_rank"] = mla.kv_lora_rank;
  out["qk_nope_head_dim"] = mla.qk_nope_head_dim;
  out["qk_rope_head_dim"] = mla.qk_rope_head_dim;
  out["v_head_dim"] = mla.v_head_dim;
  out["first_k_dense_replace"] = config.n_layers;
}

void write_v3(const DecoderConfig& config, nlohmann::ordered_json& out) {
  write_v2(config, out);
  out["rope_interleave"] = config.mla->interleaved;
}

}  // namespace

const FamilyForm kDeepseekV2{.architecture = "DeepseekV2ForCausalLM",
                             .traits = {},
                             .defaults = {.head_dim = 64, .max_positions = 2048},
                             .rope_types = {"linear", "dynamic", "llama3", "yarn"},
                             .read = read_v2,
                             .write = write_v2};

const FamilyForm kDeepseekV3{.architecture = "DeepseekV3ForCausalLM",
                             .traits = {},
                             .defaults = {.head_dim = 64, .max_positions = 4096},
                             .rope_types = {"linear", "dynamic", "llama3", "yarn"},
                             .read = read_v3,
                             .write = write_v3};

}  // namespace attnlab
