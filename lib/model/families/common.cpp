// The keys that all families share.
#include <fmt/format.h>

#include "model/families/forms.h"

namespace attnlab {
namespace {

constexpr int64_t kMostLayers = 10'000;  // a config with a list of 2³¹ layers must not take memory for it

// Without the key, d_model / n_heads; that must come out even.
int64_t read_head_dim(const JsonKeys& keys, const FamilyForm& form, const DecoderConfig& config) {
  if (keys.has("head_dim") || form.defaults.head_dim > 0) return keys.count("head_dim", form.defaults.head_dim);
  if (config.d_model % config.n_heads != 0)
    keys.refuse("head_dim", fmt::format("a width: hidden_size {} is no multiple of {} heads", config.d_model,
                                        config.n_heads));
  return config.d_model / config.n_heads;
}

}  // namespace

// What no family here has: keys of any config.json of Hugging Face's, at the value that changes nothing. Others
// of its generic keys change nothing at any value: is_decoder (each of these families is one), what a forward
// pass returns, pieces that it computes in, labels and lengths of tasks that are not generation.
void refuse_foreign(const JsonKeys& keys) {
  for (const char* key : {"quantization_config", "compression_config", "vision_config", "audio_config",
                          "text_config", "cross_attention_hidden_size"})
    keys.require_only(key, nullptr);
  for (const char* key :
       {"use_bidirectional_attention", "is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder"})
    keys.require_only(key, false);
  for (const char* key : {"pruned_heads", "per_layer_config"})
    if (keys.has(key) && !keys.object().at(key).empty())
      keys.refuse(key, "nothing in it: all layers have the same heads");
  // Hugging Face takes null for false here.
  if (keys.object().contains("is_causal") && keys.object().at("is_causal") != true)
    keys.refuse("is_causal", "true or nothing: tokens see those before them");
}

// Computed as if they were 0.
void note_dropout(const JsonKeys& keys) {
  for (const char* key : {"attention_dropout", "resid_pdrop", "embd_pdrop", "hidden_dropout"})
    if (keys.has(key) && keys.object().at(key) != 0) keys.note_unused(key, "dropout is never applied");
}

namespace {

void check_activation(const JsonKeys& keys, const FamilyForm& form) {
  const std::string key = form.activation_key;
  const bool swish =
      form.activation == std::string("silu") && keys.has(key) && keys.object().at(key) == "swish";
  if (!swish) keys.require_only(key, form.activation);  // another name of the same function
  if (key != "hidden_act" && keys.has("hidden_act") && keys.object().at("hidden_act") != form.activation)
    keys.note_unused("hidden_act", fmt::format("this family reads {}", key));
}

}  // namespace

int64_t read_layer_count(const JsonKeys& keys) {
  const int64_t count = keys.count("num_hidden_layers");
  if (count > kMostLayers)
    keys.refuse("num_hidden_layers", fmt::format("a whole number from 1 to {}", kMostLayers));
  return count;
}

std::string renamed(const std::string& name, const std::vector<std::pair<std::string, std::string>>& prefixes) {
  for (const auto& [ours, theirs] : prefixes)
    if (name.starts_with(ours)) return theirs + name.substr(ours.size());
  return name;
}

std::string renamed_in_layer(const std::string& name, const std::string& layers,
                             const std::vector<std::pair<std::string, std::string>>& prefixes) {
  const std::string ours = "model.layers.";
  const size_t end = name.find('.', ours.size()) + 1;
  return layers + name.substr(ours.size(), end - ours.size()) + renamed(name.substr(end), prefixes);
}

DecoderConfig read_common(const JsonKeys& keys, const FamilyForm& form) {
  refuse_foreign(keys);
  note_dropout(keys);
  check_activation(keys, form);
  DecoderConfig config;
  config.vocab_size = keys.count("vocab_size");
  config.d_model = keys.count("hidden_size");
  config.n_layers = read_layer_count(keys);
  config.n_heads = keys.count("num_attention_heads");
  const int64_t n_kv_heads = form.defaults.n_kv_heads > 0 ? form.defaults.n_kv_heads : config.n_heads;
  config.n_kv_heads = keys.has("num_key_value_heads") || !keys.object().contains("num_key_value_heads")
                          ? keys.count("num_key_value_heads", n_kv_heads)
                          : config.n_heads;  // null
  config.head_dim = read_head_dim(keys, form, config);
  config.d_ff = keys.count("intermediate_size");
  config.max_positions = keys.count("max_position_embeddings", form.defaults.max_positions);
  config.norm_eps = keys.positive("rms_norm_eps", form.defaults.norm_eps);
  config.tie_embeddings = keys.flag("tie_word_embeddings", form.defaults.tie_embeddings);
  return config;
}

void write_common(const DecoderConfig& config, const FamilyForm& form, nlohmann::ordered_json& out) {
  out["architectures"] = {form.architecture};
  out["hidden_act"] = form.activation;
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.d_model;
  out["num_hidden_layers"] = config.n_layers;
  out["num_attention_heads"] = config.n_heads;
  out["num_key_value_heads"] = config.n_kv_heads;
  if (!config.mla) out["head_dim"] = config.head_dim;
  out["intermediate_size"] = config.d_ff;
  out["max_position_embeddings"] = config.max_positions;
  out["rms_norm_eps"] = config.norm_eps;
  out["tie_word_embeddings"] = config.tie_embeddings;
}

int64_t read_expert_count(const JsonKeys& keys, const char* key, int64_t fallback,
                          const DecoderConfig& config) {
  constexpr int64_t most_of_all_layers = 200'000;
  const int64_t count = keys.count(key, fallback), most = most_of_all_layers / config.n_layers;
  if (count > most) keys.refuse(key, fmt::format("a whole number from 1 to {}", most));
  return count;
}

std::vector<int64_t> layers_from(int64_t first, int64_t step, int64_t n_layers) {
  std::vector<int64_t> layers;
  for (int64_t i = first; i < n_layers; i += step) layers.push_back(i);
  return layers;
}

namespace {

std::vector<int64_t> read_layer_types(const JsonKeys& keys, int64_t n_layers) {
  const auto types = keys.texts("layer_types");
  std::vector<int64_t> layers;
  bool valid = static_cast<int64_t>(types.size()) == n_layers;
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == kSliding) layers.push_back(static_cast<int64_t>(i));
    valid = valid && (types[i] == kSliding || types[i] == kFull);
  }
  if (!valid) keys.refuse("layer_types", fmt::format("{} times {} or {}", n_layers, kFull, kSliding));
  return layers;
}

}  // namespace

namespace {
int64_t read_window_size(const JsonKeys& keys, int64_t fallback) {
  if (!keys.object().contains("sliding_window")) return fallback;
  return keys.has("sliding_window") ? keys.count("sliding_window") : 0;
}
}  // namespace

void refuse_typed_windows(const JsonKeys& keys, int64_t n_layers) {
  if (keys.has("layer_types") && !read_layer_types(keys, n_layers).empty())
    keys.refuse("layer_types", fmt::format("{} in all layers: sliding windows are switched off", kFull));
}

void read_window(const JsonKeys& keys, int64_t fallback, DecoderConfig& config) {
  config.window = read_window_size(keys, fallback);
  if (!keys.has("layer_types")) return;
  const auto layers = static_cast<int64_t>(read_layer_types(keys, config.n_layers).size());
  if (layers != (config.window > 0 ? config.n_layers : 0))
    keys.refuse("layer_types",
                fmt::format("{} in all layers, as sliding_window says: this family has no other form",
                            config.window > 0 ? kSliding : kFull));
}

void write_window(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["sliding_window"] =
      config.window > 0 ? nlohmann::ordered_json(config.window) : nlohmann::ordered_json(nullptr);
}

void read_window_by_layer(const JsonKeys& keys, int64_t fallback, const std::vector<int64_t>& by_default,
                          DecoderConfig& config) {
  config.window = read_window_size(keys, fallback);
  const bool typed = keys.has("layer_types");
  config.window_layers = typed ? read_layer_types(keys, config.n_layers) : by_default;
  if (typed && config.window_layers.empty()) config.window = 0;
  // One spelling for each meaning: equal models have equal configs.
  const bool all = static_cast<int64_t>(config.window_layers.size()) == config.n_layers;
  if (all || config.window == 0) config.window_layers.clear();
}

void write_window_by_layer(const DecoderConfig& config, nlohmann::ordered_json& out) {
  write_window(config, out);
  if (config.window == 0) return;
  for (int64_t i = 0; i < config.n_layers; ++i)
    out["layer_types"].push_back(config.has_window(i) ? kSliding : kFull);
}

double read_cap(const JsonKeys& keys, const char* key, double fallback) {
  if (!keys.object().contains(key)) return fallback;
  return keys.has(key) ? keys.positive(key) : 0;
}

void write_cap(double cap, const char* key, nlohmann::ordered_json& out) {
  out[key] = cap > 0 ? nlohmann::ordered_json(cap) : nlohmann::ordered_json(nullptr);
}

void read_query_scalar(const JsonKeys& keys, double fallback, DecoderConfig& config) {
  config.query_scalar = keys.positive("query_pre_attn_scalar", fallback);
  if (config.query_scalar == static_cast<double>(config.head_dim)) config.query_scalar = 0;
}

void write_query_scalar(const DecoderConfig& config, nlohmann::ordered_json& out) {
  if (config.query_scalar > 0)
    out["query_pre_attn_scalar"] = config.query_scalar;
  else
    out["query_pre_attn_scalar"] = config.head_dim;
}

}  // namespace attnlab
