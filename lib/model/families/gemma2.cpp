// Gemma 2 (arXiv 2408.00118): norms before and behind attention and MLP that multiply by 1 + weight, embeddings
// times √d_model, GELU, caps on scores and logits, and a window in every other layer, beginning with the first.
#include "model/families/forms.h"

namespace attnlab {
namespace {

// A cap that may be null (none); absent means the default.
double read_cap(const JsonKeys& keys, const char* key, double fallback) {
  if (!keys.object().contains(key)) return fallback;
  return keys.has(key) ? keys.positive(key) : 0;
}

void write_cap(double cap, const char* key, nlohmann::ordered_json& out) {
  out[key] = cap > 0 ? nlohmann::ordered_json(cap) : nlohmann::ordered_json(nullptr);
}

void read_gemma2(const JsonKeys& keys, DecoderConfig& config) {
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
  config.attention_softcap = read_cap(keys, "attn_logit_softcapping", 50);
  config.final_softcap = read_cap(keys, "final_logit_softcapping", 30);
  config.query_scalar = keys.positive("query_pre_attn_scalar", 256);
  if (config.query_scalar == static_cast<double>(config.head_dim)) config.query_scalar = 0;
  read_window_by_layer(keys, 4096, layers_from(0, 2, config.n_layers), config);
}

void write_gemma2(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["hidden_activation"] = kGemma2.activation;
  out["attention_bias"] = config.qkv_bias;
  write_cap(config.attention_softcap, "attn_logit_softcapping", out);
  write_cap(config.final_softcap, "final_logit_softcapping", out);
  if (config.query_scalar > 0)
    out["query_pre_attn_scalar"] = config.query_scalar;
  else
    out["query_pre_attn_scalar"] = config.head_dim;
  write_window_by_layer(config, out);
}

}  // namespace

const FamilyForm kGemma2{
    .architecture = "Gemma2ForCausalLM",
    .traits = {.gelu = true, .sandwich_norms = true, .norm_plus_one = true, .scaled_embedding = true},
    .defaults = {.n_kv_heads = 4, .head_dim = 256, .max_positions = 8192, .tie_embeddings = true},
    .activation = "gelu_pytorch_tanh",
    .activation_key = "hidden_activation",
    .rope_types = {"linear", "dynamic", "llama3", "yarn"},
    .read = read_gemma2,
    .write = write_gemma2};

}  // namespace attnlab
