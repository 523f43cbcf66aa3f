// The rotary keys, in both forms: rope_theta, rope_scaling and partial_rotary_factor beside the others, or all
// in rope_parameters.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/names.h"
#include "model/families/forms.h"

namespace attnlab {
namespace {

using Strings = std::vector<std::string>;

// The objects that hold the scaling, under their names. An empty one is none.
Strings scaling_keys(const JsonKeys& keys) {
  Strings found;
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    if (!keys.has(name)) continue;
    if (!keys.object().at(name).is_object()) keys.refuse(name, "an object");
    if (!keys.object().at(name).empty()) found.emplace_back(name);
  }
  return found;
}

// A key may stand in the object and beside it. Versions of Hugging Face transformers read one or the other.
void require_same(const JsonKeys& keys, const JsonKeys& inner, const char* key) {
  if (inner.has(key) && keys.has(key) && inner.object().at(key) != keys.object().at(key))
    inner.refuse(key, fmt::format("{}, as {} beside it says", keys.object().at(key).dump(), key));
}

std::string read_type(const JsonKeys& inner, const FamilyForm& form) {
  const char* key = inner.has("rope_type") ? "rope_type" : "type";
  if (inner.has("type") && inner.text("type", "") != inner.text(key, ""))
    inner.refuse("type", inner.object().at(key).dump() + ", as rope_type says");
  std::string type = inner.text(key, "default");
  if (type == "su") type = "longrope";  // its name in the first Phi-3 checkpoints
  Strings known{"default"};
  known.insert(known.end(), form.rope_types.begin(), form.rope_types.end());
  if (std::find(known.begin(), known.end(), type) == known.end())
    inner.refuse(key, "one of " + join(known) + " (what is supported for this family)");
  return type;
}

constexpr const char* kOriginal = "original_max_position_embeddings";

// In the object or beside it. Which of two counts depends on the version of Hugging Face transformers.
int64_t read_original(const JsonKeys& keys, const JsonKeys& inner) {
  require_same(keys, inner, kOriginal);
  return inner.has(kOriginal) || !keys.has(kOriginal) ? inner.count(kOriginal) : keys.count(kOriginal);
}

// Grows from the model's own length; another one is not looked at by Hugging Face transformers.
RopeScaling read_dynamic(const JsonKeys& inner, const DecoderConfig& config) {
  if (config.turning_dim() < 4)
    inner.refuse("rope_type",
                 fmt::format("another one: dynamic needs heads that turn 4 numbers or more, not {}",
                             config.turning_dim()));
  if (inner.count(kOriginal, config.max_positions) != config.max_positions)
    inner.refuse(kOriginal,
                 fmt::format("{}, max_position_embeddings: dynamic grows from there", config.max_positions));
  return {.type = RopeType::dynamic,
          .factor = inner.positive("factor"),
          .original_positions = config.max_positions};
}

RopeScaling read_yarn(const JsonKeys& keys, const JsonKeys& inner, const DecoderConfig& config) {
  const bool original = inner.has(kOriginal) || keys.has(kOriginal);
  RopeScaling scaling{.type = RopeType::yarn,
                      .original_positions = original ? read_original(keys, inner) : config.max_positions,
                      .beta_fast = inner.positive("beta_fast", 32),
                      .beta_slow = inner.positive("beta_slow", 1),
                      .mscale = inner.not_negative("mscale", 0),
                      .mscale_all_dim = inner.not_negative("mscale_all_dim", 0),
                      .truncate = inner.flag("truncate", true)};
  // null: the ratio of the two contexts.
  const bool is_null = inner.object().contains("factor") && !inner.has("factor");
  scaling.factor =
      is_null ? static_cast<double>(config.max_positions) / static_cast<double>(scaling.original_positions)
              : inner.positive("factor");
  if (inner.has("attention_factor")) scaling.attention_factor = inner.positive("attention_factor");
  if (scaling.beta_fast < scaling.beta_slow)
    inner.refuse("beta_fast", fmt::format("at least beta_slow {}", scaling.beta_slow));
  if (config.rope_theta <= 1) keys.refuse("rope_theta", "a number above 1: yarn takes its logarithm");
  return scaling;
}

RopeScaling read_llama3(const JsonKeys& keys, const JsonKeys& inner) {
  RopeScaling scaling{.type = RopeType::llama3,
                      .factor = inner.positive("factor"),
                      .low_freq_factor = inner.positive("low_freq_factor"),
                      .high_freq_factor = inner.positive("high_freq_factor"),
                      .original_positions = read_original(keys, inner)};
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    inner.refuse("high_freq_factor", fmt::format("more than low_freq_factor {}", scaling.low_freq_factor));
  return scaling;
}

// The factor is the ratio of the two context lengths; a key that says otherwise is read differently by
// different versions of Hugging Face transformers.
RopeScaling read_longrope(const JsonKeys& keys, const JsonKeys& inner, const DecoderConfig& config) {
  const auto pairs = static_cast<size_t>(config.turning_dim() / 2);
  RopeScaling scaling{.type = RopeType::longrope,
                      .original_positions = read_original(keys, inner),
                      .short_factors = inner.positives("short_factor", pairs),
                      .long_factors = inner.positives("long_factor", pairs)};
  scaling.factor = static_cast<double>(config.max_positions) / static_cast<double>(scaling.original_positions);
  if (std::abs(inner.positive("factor", scaling.factor) / scaling.factor - 1) > 1e-6)
    inner.refuse("factor", fmt::format("{}, max_position_embeddings over the original ones", scaling.factor));
  if (inner.has("attention_factor")) {
    scaling.attention_factor = inner.positive("attention_factor");
  } else if (scaling.original_positions < 2) {
    inner.refuse(kOriginal, "2 or more");
  }
  return scaling;
}

Strings keys_of(const std::string& type) {
  // The original length is written beside every type by some versions; without a scaling it changes nothing.
  Strings keys{"rope_type", "type", "rope_theta", "partial_rotary_factor", kOriginal};
  const auto add = [&](const Strings& more) { keys.insert(keys.end(), more.begin(), more.end()); };
  if (type == "linear" || type == "dynamic") add({"factor"});
  if (type == "yarn")
    add({"factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"});
  if (type == "llama3") add({"factor", "low_freq_factor", "high_freq_factor"});
  if (type == "longrope") add({"factor", "short_factor", "long_factor", "attention_factor"});
  return keys;
}

// Keys that change nothing with this type: any with the default, those of other types with a scaling. What
// looks like a key of the type misspelt is refused, and so are objects: rotary keys for each type of layer.
void pass_over_others(const JsonKeys& inner, const std::string& type) {
  Strings known = keys_of(type);
  Strings others{"mrope_section", "mrope_interleaved", "extrapolation_factor", "attn_factor"};
  for (const char* other : {"linear", "dynamic", "llama3", "yarn", "longrope"})
    for (const auto& key : keys_of(other)) others.push_back(key);
  for (const auto& [key, value] : inner.object().items()) {
    if (value.is_null() || std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (value.is_object()) inner.refuse(key, "one form of rotary position for all layers");
    if (type != "default" && std::find(others.begin(), others.end(), key) == others.end()) continue;
    inner.note_unused(key, fmt::format("rope type {} has no such key", type));
    known.push_back(key);
  }
  inner.only(known);
}

void read_turning_dim(const JsonKeys& keys, const FamilyForm& form, DecoderConfig& config) {
  constexpr const char* key = "partial_rotary_factor";
  if (!form.partial_rotary) return keys.require_only(key, 1.0);
  const double factor = keys.positive(key, 1);
  const auto turning = static_cast<int64_t>(static_cast<double>(config.head_dim) * factor);
  if (factor > 1 || turning < 2 || turning % 2 != 0)
    keys.refuse(key, fmt::format("a share that makes an even part of head_dim {}", config.head_dim));
  if (turning != config.head_dim) config.rotary_dim = turning;
}

void read_scaling(const JsonKeys& keys, const JsonKeys& inner, const FamilyForm& form, DecoderConfig& config) {
  const std::string type = read_type(inner, form);
  pass_over_others(inner, type);
  if (type == "linear")
    config.rope_scaling = {.type = RopeType::linear, .factor = inner.positive("factor")};
  else if (type == "dynamic")
    config.rope_scaling = read_dynamic(inner, config);
  else if (type == "llama3")
    config.rope_scaling = read_llama3(keys, inner);
  else if (type == "yarn")
    config.rope_scaling = read_yarn(keys, inner, config);
  else if (type == "longrope")
    config.rope_scaling = read_longrope(keys, inner, config);
}

void read_object(const JsonKeys& keys, const JsonKeys& inner, const FamilyForm& form, DecoderConfig& config) {
  for (const char* key : {"rope_theta", "partial_rotary_factor"}) require_same(keys, inner, key);
  config.rope_theta = inner.positive("rope_theta", config.rope_theta);
  read_turning_dim(inner.has("partial_rotary_factor") ? inner : keys, form, config);
  read_scaling(keys, inner, form, config);
}

// rope_parameters has an object for each type of layer, whose base may also stand beside it under `beside`.
double read_theta_of(const JsonKeys& keys, const JsonKeys& inner, const char* beside, double fallback) {
  if (inner.has("rope_theta") && keys.has(beside) &&
      inner.object().at("rope_theta") != keys.object().at(beside))
    inner.refuse("rope_theta",
                 fmt::format("{}, as {} beside it says", keys.object().at(beside).dump(), beside));
  return inner.positive("rope_theta", keys.positive(beside, fallback));
}

// Layers with a window: a base, and no scaling.
void read_window_rope(const JsonKeys& keys, const FamilyForm& form, DecoderConfig& config) {
  constexpr const char* beside = "rope_local_base_freq";
  config.window_rope_theta = keys.positive(beside, form.defaults.window_rope_theta);
  if (!keys.has("rope_parameters")) return;
  const JsonKeys types = keys.below("rope_parameters");
  if (!types.has(kSliding)) return;
  const JsonKeys inner = types.below(kSliding);
  config.window_rope_theta = read_theta_of(keys, inner, beside, form.defaults.window_rope_theta);
  for (const char* key : {"rope_type", "type"}) inner.require_only(key, "default");
  pass_over_others(inner, "default");
}

// One spelling for each meaning: equal models have equal configs.
void drop_idle_window_rope(DecoderConfig& config) {
  const bool alike = config.window_rope_theta == config.rope_theta && !config.rope_scaling;
  if (config.window == 0 || alike) config.window_rope_theta = 0;
}

// rope_scaling is of the layers without a window alone. Hugging Face transformers does not read a
// rope_parameters without types of layers.
void read_rope_by_layer(const JsonKeys& keys, const FamilyForm& form, DecoderConfig& config) {
  const Strings names = scaling_keys(keys);
  if (names.size() > 1) keys.refuse(names.back(), "only one of the two, " + join(names));
  const bool typed = !names.empty() && names.front() == "rope_parameters";
  if (typed) keys.below("rope_parameters").only({kFull, kSliding});
  read_window_rope(keys, form, config);
  config.rope_theta = keys.positive("rope_theta", form.defaults.rope_theta);
  read_turning_dim(keys, form, config);
  if (typed && keys.below("rope_parameters").has(kFull)) {
    const JsonKeys types = keys.below("rope_parameters"), full = types.below(kFull);
    config.rope_theta = read_theta_of(keys, full, "rope_theta", form.defaults.rope_theta);
    read_scaling(keys, full, form, config);
  } else if (!typed && !names.empty()) {
    read_object(keys, keys.below(names.front()), form, config);
  }
  drop_idle_window_rope(config);
}

}  // namespace

void read_rope(const JsonKeys& keys, const FamilyForm& form, DecoderConfig& config) {
  if (form.defaults.window_rope_theta > 0) return read_rope_by_layer(keys, form, config);
  config.rope_theta = keys.positive("rope_theta", form.defaults.rope_theta);
  const Strings names = scaling_keys(keys);
  if (names.empty()) return read_turning_dim(keys, form, config);
  const DecoderConfig before = config;
  read_object(keys, keys.below(names.front()), form, config);
  if (names.size() == 1) return;
  DecoderConfig other = before;
  read_object(keys, keys.below(names.back()), form, other);
  if (!fields_equal(config, other))
    keys.refuse(names.back(), "what " + names.front() + " says, or only one of the two");
}

namespace {

// Beside type and factor; what is as Hugging Face takes it without the key is left out.
void write_yarn(const RopeScaling& scaling, nlohmann::ordered_json& inner) {
  inner[kOriginal] = scaling.original_positions;
  inner["beta_fast"] = scaling.beta_fast;
  inner["beta_slow"] = scaling.beta_slow;
  if (scaling.attention_factor) inner["attention_factor"] = *scaling.attention_factor;
  if (scaling.mscale > 0) inner["mscale"] = scaling.mscale;
  if (scaling.mscale_all_dim > 0) inner["mscale_all_dim"] = scaling.mscale_all_dim;
  if (!scaling.truncate) inner["truncate"] = false;
}

}  // namespace

void write_rope(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["rope_theta"] = config.rope_theta;
  if (config.rotary_dim > 0)
    out["partial_rotary_factor"] =
        static_cast<double>(config.rotary_dim) / static_cast<double>(config.head_dim);
  if (!config.rope_scaling) return;
  const RopeScaling& scaling = *config.rope_scaling;
  auto& inner = out["rope_scaling"];
  inner["rope_type"] = name_of(scaling.type);
  if (scaling.type != RopeType::longrope) inner["factor"] = scaling.factor;
  if (scaling.type == RopeType::llama3) {
    inner["low_freq_factor"] = scaling.low_freq_factor;
    inner["high_freq_factor"] = scaling.high_freq_factor;
    inner[kOriginal] = scaling.original_positions;
  }
  if (scaling.type == RopeType::yarn) write_yarn(scaling, inner);
  if (scaling.type == RopeType::longrope) {
    inner["short_factor"] = scaling.short_factors;
    inner["long_factor"] = scaling.long_factors;
    if (scaling.attention_factor) inner["attention_factor"] = *scaling.attention_factor;
    out[kOriginal] = scaling.original_positions;
  }
}

}  // namespace attnlab
