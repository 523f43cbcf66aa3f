// Mixtral: Mistral with a mixture of experts in each layer (arXiv 2401.04088).
#include <fmt/format.h>

#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_mixtral(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("attention_bias", false);
  keys.require_only("router_jitter_noise", 0.0);
  MoeShape moe{.n_experts = read_expert_count(keys, "num_local_experts", 8, config),
               .experts_per_token = keys.count("num_experts_per_tok", 2),
               .d_ff = config.d_ff};
  if (moe.experts_per_token > moe.n_experts)
    keys.refuse("num_experts_per_tok", fmt::format("at most the {} experts", moe.n_experts));
  config.moe = moe;
  read_window(keys, 0, config);
}

void write_mixtral(const DecoderConfig& config, nlohmann::ordered_json& out) {
  const MoeShape moe = config.moe.value_or(MoeShape{});
  out["num_local_experts"] = moe.n_experts;
  out["num_experts_per_tok"] = moe.experts_per_token;
  write_window(config, out);
}

}  // namespace

const FamilyForm kMixtral{
    .architecture = "MixtralForCausalLM",
    .traits = {},
    .defaults = {.n_kv_heads = 8, .norm_eps = 1e-5, .rope_theta = 1e6, .max_positions = 131072},
    .rope_types = {"linear", "dynamic", "llama3", "yarn", "longrope"},
    .read = read_mixtral,
    .write = write_mixtral};

}  // namespace attnlab
