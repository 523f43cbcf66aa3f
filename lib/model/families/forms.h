// What a family is: one of these, defined in the family's file and listed in families.cpp.
#pragma once

#include <nlohmann/json.hpp>

#include "model/families/json_keys.h"

namespace attnlab {

// What Hugging Face's config classes take where config.json leaves a key out.
struct FamilyDefaults {
  int64_t n_kv_heads = 0;  // 0: n_heads
  int64_t head_dim = 0;    // 0: d_model / n_heads
  double norm_eps = 1e-6;
  double rope_theta = 10000;
  double window_rope_theta = 0;  // 0: layers with a window turn as the others do
  int64_t max_positions = 2048;
  bool tie_embeddings = false;
};

struct FamilyForm {
  const char* architecture;
  FamilyTraits traits;
  FamilyDefaults defaults;
  bool fused_projections = false;   // qkv_proj and gate_up_proj stand for three and two matrices
  const char* activation = "silu";  // in Hugging Face's terms
  const char* activation_key = "hidden_act";
  bool partial_rotary = false;          // may turn a part of each head
  std::vector<std::string> rope_types;  // beside "default"
  bool own_keys = false;                // reads and writes all keys: they are other ones than attention's
  // Where a parameter stands in its files; null: by the decoder's own names.
  std::string (*file_name)(const std::string& name) = nullptr;
  // The family's own keys; the common ones are read and written around them.
  void (*read)(const JsonKeys& keys, DecoderConfig& config);
  void (*write)(const DecoderConfig& config, nlohmann::ordered_json& out);
};

extern const FamilyForm kLlama, kMistral, kMixtral, kQwen2, kQwen3, kGemma2, kGemma3, kPhi3, kDeepseekV2,
    kDeepseekV3, kMamba, kMamba2, kRwkv;

// Keys that all families share.
// "a.b.c" with what it begins with replaced, by the first pair that fits: {{"model.norm.", "backbone.norm_f."},
// …}.
std::string renamed(const std::string& name, const std::vector<std::pair<std::string, std::string>>& prefixes);
// The same behind "model.layers.N.", which becomes `layers` and N.
std::string renamed_in_layer(const std::string& name, const std::string& layers,
                             const std::vector<std::pair<std::string, std::string>>& prefixes);

// Refuses keys of any config.json that no family here has.
void refuse_foreign(const JsonKeys& keys);
// Says that dropout is never applied, where a config names some.
void note_dropout(const JsonKeys& keys);
int64_t read_layer_count(const JsonKeys& keys);

DecoderConfig read_common(const JsonKeys& keys, const FamilyForm& form);
void write_common(const DecoderConfig& config, const FamilyForm& form, nlohmann::ordered_json& out);

// A number of experts from 1, with a bound for all layers together: each is a module, and a config.json alone
// must not take memory for them. Needs n_layers.
int64_t read_expert_count(const JsonKeys& keys, const char* key, int64_t fallback, const DecoderConfig& config);

// rope_theta, rope_scaling or rope_parameters, partial_rotary_factor; where layers with a window turn apart,
// rope_local_base_freq, and rope_parameters for each type of layer. Needs head_dim, max_positions and the
// windows.
void read_rope(const JsonKeys& keys, const FamilyForm& form, DecoderConfig& config);
void write_rope(const DecoderConfig& config, nlohmann::ordered_json& out);

// Types of layers, in `layer_types` and in Gemma 3's rope_parameters.
inline constexpr const char* kSliding = "sliding_attention";
inline constexpr const char* kFull = "full_attention";

// `sliding_window` (`fallback` where the key is absent; null: none), in all layers: `layer_types` may not say
// otherwise.
void read_window(const JsonKeys& keys, int64_t fallback, DecoderConfig& config);
void write_window(const DecoderConfig& config, nlohmann::ordered_json& out);
// The same for the layers that `layer_types` names; without that key, for those of `by_default`.
void read_window_by_layer(const JsonKeys& keys, int64_t fallback, const std::vector<int64_t>& by_default,
                          DecoderConfig& config);
void write_window_by_layer(const DecoderConfig& config, nlohmann::ordered_json& out);
// A cap that may be null (none); absent means the default. And back.
double read_cap(const JsonKeys& keys, const char* key, double fallback);
void write_cap(double cap, const char* key, nlohmann::ordered_json& out);
// `query_pre_attn_scalar`, 0 where it is head_dim. And back.
void read_query_scalar(const JsonKeys& keys, double fallback, DecoderConfig& config);
void write_query_scalar(const DecoderConfig& config, nlohmann::ordered_json& out);
// Refuses `layer_types` that name a layer with a window, where there is none.
void refuse_typed_windows(const JsonKeys& keys, int64_t n_layers);
// The layers `first`, first + step, … below n_layers.
std::vector<int64_t> layers_from(int64_t first, int64_t step, int64_t n_layers);

}  // namespace attnlab
