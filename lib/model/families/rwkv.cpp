// RWKV-4 (arXiv 2305.13048) in the hub's layout: time mixing and channel mixing, layer norms with biases.
#include <algorithm>

#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_rwkv(const JsonKeys& keys, DecoderConfig& config) {
  refuse_foreign(keys);
  note_dropout(keys);
  RecurrentShape form{.kind = RecurrentKind::rwkv};
  config.vocab_size = keys.count("vocab_size");
  config.d_model = keys.count("hidden_size");
  config.n_layers = read_layer_count(keys);
  config.max_positions = keys.count("context_length", 1024);
  config.norm_eps = keys.positive("layer_norm_epsilon", 1e-5);
  config.d_ff = keys.count("intermediate_size", 4 * config.d_model);
  form.inner = keys.count("attention_hidden_size", config.d_model);
  // The stream is halved every so many layers while generating in half precision, and matrices with it: the
  // same function but for the norms' epsilon.
  form.rescale_every = keys.count_or_zero("rescale_every", 6);
  config.tie_embeddings = keys.flag("tie_word_embeddings", false);
  config.n_heads = config.n_kv_heads = 1;
  config.head_dim = std::max<int64_t>(2, form.inner);
  config.recurrent = form;
}

void write_rwkv(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.d_model;
  out["num_hidden_layers"] = config.n_layers;
  out["context_length"] = config.max_positions;
  out["layer_norm_epsilon"] = config.norm_eps;
  out["intermediate_size"] = config.d_ff;
  out["attention_hidden_size"] = config.recurrent->inner;
  out["rescale_every"] = config.recurrent->rescale_every;
  out["tie_word_embeddings"] = config.tie_embeddings;
}

std::string rwkv_name(const std::string& name) {
  if (name.starts_with("model.layers."))
    return renamed_in_layer(name, "rwkv.blocks.",
                            {{"embedding_norm.", "pre_ln."},
                             {"input_layernorm.", "ln1."},
                             {"post_attention_layernorm.", "ln2."},
                             {"self_attn.", "attention."},
                             {"mlp.", "feed_forward."}});
  return renamed(
      name,
      {{"model.embed_tokens.", "rwkv.embeddings."}, {"model.norm.", "rwkv.ln_out."}, {"lm_head.", "head."}});
}

}  // namespace

const FamilyForm kRwkv{.architecture = "RwkvForCausalLM",
                       .traits = {.layer_norms = true, .channel_mixing = true},
                       .defaults = {},
                       .rope_types = {},
                       .own_keys = true,
                       .file_name = rwkv_name,
                       .read = read_rwkv,
                       .write = write_rwkv};

}  // namespace attnlab
