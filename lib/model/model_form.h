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
// A cut stream adds "sliced": {"width": 448, "head": false}, and may have the base's own variant.
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

#include "attention/variant_config.h"
#include "model/decoder_config.h"
#include "quantize/matrix_packing.h"

namespace attnlab {

inline constexpr const char* kOwnModelType = "attnlab";

// A residual stream that was cut to its principal directions (SliceGPT, arXiv 2401.15024): matrices that read
// or write it are `width` wide, norms divide by the base's d_model, and between blocks the stream goes through
// shortcut matrices, from one block's directions to the next one's.
struct SlicedStream {
  int64_t width = 0;
  bool head = false;  // the last layer's output is cut, too; else it has all of d_model

  bool operator==(const SlicedStream&) const = default;
};

struct ModelForm {
  DecoderConfig config;                  // of the base
  std::vector<VariantConfig> layers;     // n_layers of them
  std::optional<MatrixPacking> packing;  // absent: all matrices are whole
  std::optional<SlicedStream> sliced;    // absent: the stream has all of d_model

  ModelForm() = default;
  ModelForm(const DecoderConfig& base, const VariantConfig& everywhere)
      : config(base), layers(static_cast<size_t>(base.n_layers), everywhere) {}
  ModelForm(const DecoderConfig& base, std::vector<VariantConfig> each)
      : config(base), layers(std::move(each)) {}

  const VariantConfig& of(int64_t layer) const { return layers.at(static_cast<size_t>(layer)); }
  // Numbers of the stream that a layer reads, and that it leaves.
  int64_t stream_width() const { return sliced ? sliced->width : config.d_model; }
  int64_t width_after(int64_t layer) const {
    return sliced && layer + 1 == config.n_layers && !sliced->head ? config.d_model : stream_width();
  }
  // ε of a norm over `width` numbers of the stream, in a mean over these: x / √(Σ x² / D + ε) is
  // √(D / d) x / √(Σ x² / d + ε D / d), of which norms' weights hold the factor in front.
  double stream_eps(int64_t width) const {
    return config.norm_eps * static_cast<double>(config.d_model) / static_cast<double>(width);
  }
  // What the mixer of a layer is built from.
  AttentionShape attention_shape(int64_t layer = 0) const {
    AttentionShape shape = config.attention_shape(layer);
    shape.d_model = stream_width();
    return shape;
  }
};

// The variant that the config's own files have: gqa or deepseek_mla.
VariantConfig native_variant(const DecoderConfig& config);
ModelForm native_form(const DecoderConfig& config);
// Every layer is of the variant that the config's own files have, whatever its options, and the stream is
// whole.
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
