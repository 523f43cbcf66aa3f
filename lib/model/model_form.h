// What a model is: the config of its base, a variant for each layer, and how its matrices are stored; and the
// config.json that says so. Without torch.
//
// Where all layers are the config's own, that is the family's file of Hugging Face. All else stands in the
// project's own layout, whose model_type no other software takes for the base's family:
//
//   {"model_type": "attnlab", "architectures": ["AttnlabForCausalLM"],
//    "variant": "mla_orthogonal", "options": {"split": "balanced", "rank": 12, "absorb": true},
//    "base": {… the config.json of the family …}, "torch_dtype": "float32"}
//
// where layers differ, "layers" stands in place of "variant" and "options":
//
//   "layers": [{"of": "0-2,4", "variant": "gqa", "options": {}}, {"of": "3", "variant": "mla_deepseek", …}]
//
// "quantization_config" in either, as the hub's method "gptq" has it, says that matrices of layers are packed
// (quantize/packed_matrix.h).
//
// Beside it tensors carry the decoder's own names. The ids of tokens stand at the top level, as in a family's
// file; keys that are not listed here are passed over.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "attention/variants.h"
#include "config/node.h"
#include "model/decoder_config.h"
#include "quantize/matrix_packing.h"

namespace attnlab {

inline constexpr const char* kOwnModelType = "attnlab";

struct ModelForm {
  DecoderConfig config;                  // of the base
  std::vector<VariantConfig> layers;     // n_layers of them
  std::optional<MatrixPacking> packing;  // absent: all matrices are whole

  ModelForm() = default;
  ModelForm(const DecoderConfig& base, const VariantConfig& everywhere)
      : config(base), layers(static_cast<size_t>(base.n_layers), everywhere) {}
  ModelForm(const DecoderConfig& base, std::vector<VariantConfig> each)
      : config(base), layers(std::move(each)) {}

  const VariantConfig& of(int64_t layer) const { return layers.at(static_cast<size_t>(layer)); }
};

// The variant that the config's own files have: gqa or deepseek_mla.
VariantConfig native_variant(const DecoderConfig& config);
ModelForm native_form(const DecoderConfig& config);
// Every layer is of the variant that the config's own files have, whatever its options.
bool is_native(const ModelForm& form);
// All layers have one variant with the same options.
bool is_uniform(const ModelForm& form);
// "mla_deepseek", or "gqa + mla_deepseek" where layers differ: names in order of first appearance.
std::string form_name(const ModelForm& form);

// "0-2,4,6-12:3" → {0, 1, 2, 4, 6, 9, 12}: layers and ranges of layers, with a step behind a colon. nullopt:
// not of that form.
std::optional<std::vector<int64_t>> parse_layers(const std::string& text);
// The other way: the shortest ranges, without steps.
std::string layers_text(const std::vector<int64_t>& layers);
// Layers that share variant and options, in order of first appearance.
struct LayerGroup {
  std::vector<int64_t> layers;
  VariantConfig variant;
};
std::vector<LayerGroup> layer_groups(const ModelForm& form);

// The variant with the options that a map gives it (null: none); keys in errors come after "KEY.", if a key is
// given. Throws InputError.
VariantConfig with_options(VariantConfig variant, const Node& options, const std::string& key = "");

// Reads either layout; `file` is named in errors. Throws InputError as read_decoder_config does, its keys after
// "base." in the own layout; for a variant that is unknown or impossible with the base, layers that are all the
// base's own, missing or named twice; for quantised weights that are not read; and for options that the variant
// does not have or admit ("options.rank"). `notes`, if given, gets what read_decoder_config notes.
ModelForm read_model_form(const nlohmann::json& config, const std::filesystem::path& file,
                          std::vector<std::string>* notes = nullptr);

// What read_model_form reads back as the same form, but that a family's file says no options (`absorb` of
// deepseek_mla). `dtype`: of the weights beside it, as for write_decoder_config.
nlohmann::ordered_json write_model_form(const ModelForm& form, const std::string& dtype = "float32");

}  // namespace attnlab
