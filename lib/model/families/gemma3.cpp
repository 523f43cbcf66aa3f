// Gemma 3's text model (arXiv 2503.19786): Gemma 2's norms, embeddings and GELU without its caps, norms of
// query and key heads that multiply by 1 + weight, and five layers with a window to one without. Those with a
// window turn by frequencies of their own.
#include "model/families/forms.h"

namespace attnlab {
namespace {

// Every `sliding_window_pattern`-th layer has no window.
std::vector<int64_t> windows_by_pattern(const JsonKeys& keys, int64_t n_layers) {
  const int64_t every = keys.count("sliding_window_pattern", 6);
  std::vector<int64_t> layers;
  for (int64_t i = 0; i < n_layers; ++i)
    if ((i + 1) % every != 0) layers.push_back(i);
  return layers;
}

void read_gemma3(const JsonKeys& keys, DecoderConfig& config) {
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
  config.attention_softcap = read_cap(keys, "attn_logit_softcapping", 0);
  config.final_softcap = read_cap(keys, "final_logit_softcapping", 0);
  read_query_scalar(keys, 256, config);
  read_window_by_layer(keys, 4096, windows_by_pattern(keys, config.n_layers), config);
}

void write_gemma3(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["hidden_activation"] = kGemma3.activation;
  out["attention_bias"] = config.qkv_bias;
  write_cap(config.attention_softcap, "attn_logit_softcapping", out);
  write_cap(config.final_softcap, "final_logit_softcapping", out);
  write_query_scalar(config, out);
  write_window_by_layer(config, out);
  out["rope_local_base_freq"] = config.window_rope_theta > 0 ? config.window_rope_theta : config.rope_theta;
}

}  // namespace

const FamilyForm kGemma3{.architecture = "Gemma3ForCausalLM",
                         .traits = {.gelu = true,
                                    .sandwich_norms = true,
                                    .norm_plus_one = true,
                                    .scaled_embedding = true,
                                    .qk_norm = true},
                         .defaults = {.n_kv_heads = 4,
                                      .head_dim = 256,
                                      .rope_theta = 1e6,
                                      .window_rope_theta = 10000,
                                      .max_positions = 131072,
                                      .tie_embeddings = true},
                         .activation = "gelu_pytorch_tanh",
                         .activation_key = "hidden_activation",
                         .rope_types = {"linear", "dynamic", "llama3", "yarn"},
                         .read = read_gemma3,
                         .write = write_gemma3};

}  // namespace attnlab
