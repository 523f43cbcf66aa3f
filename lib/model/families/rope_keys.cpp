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

// The object that holds the scaling, under its name; "" if there is none.
std::string scaling_key(const JsonKeys& keys) {
  std::string found;
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    if (!keys.has(name)) continue;
    if (!keys.object().at(name).is_object()) keys.refuse(name, "an object");
    if (!found.empty() && keys.object().at(name) != keys.object().at(found))
      keys.refuse(name, "what " + found + " says, or only one of the two");
    found = name;
  }
  return found;
}

std::string read_type(const JsonKeys& inner, const FamilyForm& form) {
  const char* key = inner.has("rope_type") ? "rope_type" : "type";
  std::string type = inner.text(key, "default");
  if (type == "su") type = "longrope";  // its name in the first Phi-3 checkpoints
  Strings known{"default"};
  known.insert(known.end(), form.rope_types.begin(), form.rope_types.end());
  if (std::find(known.begin(), known.end(), type) == known.end())
    inner.refuse(key, "one of " + join(known) + " (what is supported for this family)");
  return type;
}

int64_t read_original(const JsonKeys& keys, const JsonKeys& inner) {
  constexpr const char* key = "original_max_position_embeddings";
  return inner.has(key) || !keys.has(key) ? inner.count(key) : keys.count(key);
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
    inner.refuse("original_max_position_embeddings", "2 or more");
  }
  return scaling;
}

Strings keys_of(const std::string& type) {
  // The original length is written beside every type by some versions; without a scaling it changes nothing.
  Strings keys{"rope_type", "type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"};
  const auto add = [&](const Strings& more) { keys.insert(keys.end(), more.begin(), more.end()); };
  if (type == "linear") add({"factor"});
  if (type == "llama3") add({"factor", "low_freq_factor", "high_freq_factor"});
  if (type == "longrope") add({"factor", "short_factor", "long_factor", "attention_factor"});
  return keys;
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
  inner.only(keys_of(type));
  if (type == "linear")
    config.rope_scaling = {.type = RopeType::linear, .factor = inner.positive("factor")};
  else if (type == "llama3")
    config.rope_scaling = read_llama3(keys, inner);
  else if (type == "longrope")
    config.rope_scaling = read_longrope(keys, inner, config);
}

}  // namespace

void read_rope(const JsonKeys& keys, const FamilyForm& form, DecoderConfig& config) {
  config.rope_theta = keys.positive("rope_theta", form.defaults.rope_theta);
  const std::string name = scaling_key(keys);
  if (name.empty()) return read_turning_dim(keys, form, config);
  const JsonKeys inner = keys.below(name);
  config.rope_theta = inner.positive("rope_theta", config.rope_theta);
  read_turning_dim(inner.has("partial_rotary_factor") ? inner : keys, form, config);
  read_scaling(keys, inner, form, config);
}

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
    inner["original_max_position_embeddings"] = scaling.original_positions;
  }
  if (scaling.type == RopeType::longrope) {
    inner["short_factor"] = scaling.short_factors;
    inner["long_factor"] = scaling.long_factors;
    if (scaling.attention_factor) inner["attention_factor"] = *scaling.attention_factor;
    out["original_max_position_embeddings"] = scaling.original_positions;
  }
}

}  // namespace attnlab
