// DeepSeek-V2 (arXiv 2405.04434) and V3 (2412.19437): MLA, and mixtures of experts from a layer on. With dense
// MLPs this is the form that conversion exports.
#include <fmt/format.h>

#include "core/errors.h"
#include "core/names.h"
#include "model/families/forms.h"

namespace attnlab {
namespace {

// What transformers 5.24 takes without the keys (configuration_deepseek_v2.py, configuration_deepseek_v3.py).
struct MoeDefaults {
  RouterScore score;
  int64_t n_experts, experts_per_token, d_ff, n_shared, first_layer, n_groups, groups_per_token;  // 0: none
  bool normalised;
  double scale;
};
constexpr MoeDefaults kV2Moe{RouterScore::softmax, 64, 0, 1407, 2, 0, 0, 0, false, 1};
constexpr MoeDefaults kV3Moe{RouterScore::sigmoid, 256, 8, 2048, 1, 3, 8, 4, true, 2.5};

// A count that may be null or 0: there are none.
int64_t count_or_none(const JsonKeys& keys, const char* key, int64_t fallback) {
  const auto found = keys.object().find(key);
  return found != keys.object().end() && found->is_null() ? 0 : keys.count_or_zero(key, fallback);
}

int64_t required_unless(const JsonKeys& keys, const char* key, int64_t fallback) {
  return fallback > 0 ? keys.count(key, fallback) : keys.count(key);
}

void read_groups(const JsonKeys& keys, const MoeDefaults& defaults, MoeShape& moe) {
  moe.n_groups = required_unless(keys, "n_group", defaults.n_groups);
  moe.groups_per_token = required_unless(keys, "topk_group", defaults.groups_per_token);
  // A group of DeepSeek-V3 counts as its two best.
  const int64_t least = moe.score == RouterScore::sigmoid ? 2 : 1;
  if (moe.n_experts % moe.n_groups != 0 || moe.experts_per_group() < least)
    keys.refuse("n_group", fmt::format("a divisor of the {} experts that leaves {} or more to a group",
                                       moe.n_experts, least));
  if (moe.groups_per_token > moe.n_groups)
    keys.refuse("topk_group", fmt::format("at most the {} groups", moe.n_groups));
  // One spelling for each meaning.
  if (moe.groups_per_token == moe.n_groups) moe.n_groups = moe.groups_per_token = 1;
}

// The two ways to choose that DeepSeek-V2's modules know, and the one of V3's, which asks no key.
bool limits_groups(const JsonKeys& keys, RouterScore score) {
  if (score == RouterScore::sigmoid) {
    keys.require_only("scoring_func", "sigmoid");
    keys.require_only("topk_method", "noaux_tc");
    return true;
  }
  keys.require_only("scoring_func", "softmax");
  const std::string method = keys.text("topk_method", "greedy");
  if (method != "greedy" && method != "group_limited_greedy")
    keys.refuse("topk_method", "greedy or group_limited_greedy");
  // transformers does not look at it; DeepSeek's own code drops routed_scaling_factor with it.
  keys.require_only("norm_topk_prob", false);
  return method == "group_limited_greedy";
}

// Layers below first_k_dense_replace are dense, and all of them where there are no routed experts.
std::optional<MoeShape> read_moe(const JsonKeys& keys, const DecoderConfig& config,
                                 const MoeDefaults& defaults) {
  MoeShape moe{.first_layer = count_or_none(keys, "first_k_dense_replace", defaults.first_layer),
               .layer_step = keys.count("moe_layer_freq", 1),
               .score = defaults.score};
  bool any = false;
  for (int64_t i = 0; i < config.n_layers; ++i) any = any || moe.in_layer(i);
  if (count_or_none(keys, "n_routed_experts", defaults.n_experts) == 0 || !any) return std::nullopt;
  moe.n_experts = read_expert_count(keys, "n_routed_experts", defaults.n_experts, config);
  moe.experts_per_token = required_unless(keys, "num_experts_per_tok", defaults.experts_per_token);
  moe.d_ff = keys.count("moe_intermediate_size", defaults.d_ff);
  moe.n_shared = count_or_none(keys, "n_shared_experts", defaults.n_shared);
  moe.normalised = keys.flag("norm_topk_prob", defaults.normalised);
  moe.scale = keys.positive("routed_scaling_factor", defaults.scale);
  if (limits_groups(keys, moe.score)) read_groups(keys, defaults, moe);
  if (const int64_t most = moe.groups_per_token * moe.experts_per_group(); moe.experts_per_token > most)
    keys.refuse("num_experts_per_tok",
                fmt::format("at most the {} experts that a token may choose from", most));
  return moe;
}

void write_moe(const MoeShape& moe, nlohmann::ordered_json& out) {
  const bool sigmoid = moe.score == RouterScore::sigmoid;
  out["first_k_dense_replace"] = moe.first_layer;
  out["moe_layer_freq"] = moe.layer_step;
  out["n_routed_experts"] = moe.n_experts;
  out["num_experts_per_tok"] = moe.experts_per_token;
  out["n_shared_experts"] = moe.n_shared;
  out["moe_intermediate_size"] = moe.d_ff;
  out["scoring_func"] = name_of(moe.score);
  out["topk_method"] = sigmoid ? "noaux_tc" : moe.n_groups > 1 ? "group_limited_greedy" : "greedy";
  out["n_group"] = moe.n_groups;
  out["topk_group"] = moe.groups_per_token;
  out["norm_topk_prob"] = moe.normalised;
  out["routed_scaling_factor"] = moe.scale;
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
void read_common_keys(const JsonKeys& keys, DecoderConfig& config, const MoeDefaults& moe, bool interleaved) {
  keys.require_only("mlp_bias", false);
  config.moe = read_moe(keys, config, moe);
  config.mla = read_mla(keys, interleaved);
  config.n_kv_heads = config.n_heads;
  config.head_dim = config.mla->qk_nope_head_dim + config.mla->qk_rope_head_dim;
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
}

void read_v2(const JsonKeys& keys, DecoderConfig& config) { read_common_keys(keys, config, kV2Moe, true); }

void read_v3(const JsonKeys& keys, DecoderConfig& config) {
  // Hugging Face takes null for false here.
  const bool null = keys.object().contains("rope_interleave") && !keys.has("rope_interleave");
  read_common_keys(keys, config, kV3Moe, !null && keys.flag("rope_interleave", true));
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
  if (config.moe)
    write_moe(*config.moe, out);
  else
    out["first_k_dense_replace"] = config.n_layers;
}

void write_v3(const DecoderConfig& config, nlohmann::ordered_json& out) {
  write_v2(config, out);
  out["rope_interleave"] = config.mla->interleaved;
  out["num_nextn_predict_layers"] = 0;
}

}  // namespace

const FamilyForm kDeepseekV2{.architecture = "DeepseekV2ForCausalLM",
                             .traits = {.float32_router = true},
                             .defaults = {.head_dim = 64, .max_positions = 2048},
                             .rope_types = {"linear", "dynamic", "llama3", "yarn"},
                             .read = read_v2,
                             .write = write_v2};

const FamilyForm kDeepseekV3{.architecture = "DeepseekV3ForCausalLM",
                             .traits = {.float32_router = true},
                             .defaults = {.head_dim = 64, .max_positions = 4096},
                             .rope_types = {"linear", "dynamic", "llama3", "yarn"},
                             .read = read_v3,
                             .write = write_v3};

}  // namespace attnlab
