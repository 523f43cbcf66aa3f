// Gemma 2 (arXiv 2408.00118): norms before and behind attention and MLP that multiply by 1 + weight, embeddings
// times √d_model, GELU, caps on scores and logits, and a window in every other layer, beginning with the first.
#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_gemma2(const JsonKeys& keys, DecoderConfig& config) {
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
  config.attention_softcap = read_cap(keys, "attn_logit_softcapping", 50);
  config.final_softcap = read_cap(keys, "final_logit_softcapping", 30);
  read_query_scalar(keys, 256, config);
  read_window_by_layer(keys, 4096, layers_from(0, 2, config.n_layers), config);
}

void write_gemma2(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["hidden_activation"] = kGemma2.activation;
  out["attention_bias"] = config.qkv_bias;
  write_cap(config.attention_softcap, "attn_logit_softcapping", out);
  write_cap(config.final_softcap, "final_logit_softcapping", out);
  write_query_scalar(config, out);
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
