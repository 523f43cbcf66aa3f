#include "model/families/json_keys.h"

#include "core/errors.h"

namespace attnlab {

using nlohmann::json;

bool JsonKeys::has(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

void JsonKeys::refuse(const std::string& key, const std::string& expected) const {
  const auto found = object_.find(key);
  throw InputError(BadInput{.file = file_.string(),
                            .key = key,
                            .found = found == object_.end() ? "nothing" : found->dump(),
                            .expected = expected});
}

int64_t JsonKeys::count(const std::string& key) const {
  constexpr int64_t most = int64_t{1} << 31;
  const auto found = object_.find(key);
  const bool valid = found != object_.end() && found->is_number_integer() && *found >= 1 && *found <= most;
  if (!valid) refuse(key, "a whole number from 1");
  return found->get<int64_t>();
}

int64_t JsonKeys::count(const std::string& key, int64_t fallback) const {
  return has(key) ? count(key) : fallback;
}

double JsonKeys::positive(const std::string& key, double fallback) const {
  if (!has(key)) return fallback;
  const json& value = object_.at(key);
  if (!value.is_number() || !(value.get<double>() > 0)) refuse(key, "a number above 0");
  return value.get<double>();
}

bool JsonKeys::flag(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!object_.at(key).is_boolean()) refuse(key, "true or false");
  return object_.at(key).get<bool>();
}

std::string JsonKeys::text(const std::string& key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  if (!object_.at(key).is_string()) refuse(key, "a string");
  return object_.at(key).get<std::string>();
}

void JsonKeys::require_only(const std::string& key, const json& only) const {
  if (has(key) && object_.at(key) != only)
    refuse(key, only.dump() + " or nothing: no other value is supported");
}

namespace {

// Rotary frequencies of the default type only.
double read_rope_theta(const JsonKeys& keys) {
  double theta = keys.positive("rope_theta", 10000);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    if (!keys.has(name)) continue;
    if (!keys.object().at(name).is_object()) keys.refuse(name, "an object");
    const JsonKeys inner = keys.below(name);
    const std::string type = inner.text("rope_type", inner.text("type", "default"));
    if (type != "default") keys.refuse(name, "rope_type default: no other type is supported");
    theta = inner.positive("rope_theta", theta);
  }
  return theta;
}

}  // namespace

DecoderConfig read_common(const JsonKeys& keys) {
  keys.require_only("hidden_act", "silu");
  keys.require_only("quantization_config", nullptr);
  keys.require_only("partial_rotary_factor", 1.0);
  DecoderConfig config;
  config.vocab_size = keys.count("vocab_size");
  config.d_model = keys.count("hidden_size");
  config.n_layers = keys.count("num_hidden_layers");
  config.n_heads = keys.count("num_attention_heads");
  config.n_kv_heads = keys.count("num_key_value_heads", config.n_heads);
  config.head_dim = keys.count("head_dim", std::max<int64_t>(1, config.d_model / config.n_heads));
  config.d_ff = keys.count("intermediate_size");
  config.max_positions = keys.count("max_position_embeddings", 2048);
  config.norm_eps = keys.positive("rms_norm_eps", 1e-6);
  config.rope_theta = read_rope_theta(keys);
  config.tie_embeddings = keys.flag("tie_word_embeddings", false);
  return config;
}

void write_common(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["hidden_act"] = "silu";
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.d_model;
  out["num_hidden_layers"] = config.n_layers;
  out["num_attention_heads"] = config.n_heads;
  out["num_key_value_heads"] = config.n_kv_heads;
  out["head_dim"] = config.head_dim;
  out["intermediate_size"] = config.d_ff;
  out["max_position_embeddings"] = config.max_positions;
  out["rms_norm_eps"] = config.norm_eps;
  out["rope_theta"] = config.rope_theta;
  out["tie_word_embeddings"] = config.tie_embeddings;
}

}  // namespace attnlab
