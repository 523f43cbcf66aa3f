// A decoder's config and its attention, and the config.json that says both.
//
// Where the variant is the config's own, that is the family's file of Hugging Face. All else stands in the
// project's own layout, whose model_type no other software takes for the base's family:
//
//   {"model_type": "attnlab", "architectures": ["AttnlabForCausalLM"],
//    "variant": "mla_orthogonal", "options": {"split": "balanced", "rank": 12, "absorb": true},
//    "base": {… the config.json of the family …}, "torch_dtype": "float32"}
//
// Beside it tensors carry the decoder's own names. The ids of tokens stand at the top level, as in a family's
// file; keys that are not listed here are passed over.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "attention/variants.h"
#include "config/node.h"
#include "model/decoder_config.h"

namespace attnlab {

inline constexpr const char* kOwnModelType = "attnlab";

struct DecoderForm {
  DecoderConfig config;  // of the base
  VariantConfig variant;
};

// The variant is the one that the config's own files have, whatever its options.
bool is_native(const DecoderForm& form);

// The variant with the options that a map gives it (null: none); keys in errors come after "KEY.", if a key is
// given. Throws InputError.
VariantConfig with_options(VariantConfig variant, const Node& options, const std::string& key = "");

// Reads either layout; `file` is named in errors. Throws InputError as read_decoder_config does, its keys after
// "base." in the own layout; for a variant that is unknown, the base's own, or impossible with the base; and
// for options that the variant does not have or admit ("options.rank").
DecoderForm read_decoder_form(const nlohmann::json& config, const std::filesystem::path& file);

// What read_decoder_form reads back as the same form, but that a family's file says no options (`absorb` of
// deepseek_mla). `dtype`: of the weights beside it, as for write_decoder_config.
nlohmann::ordered_json write_decoder_form(const DecoderForm& form, const std::string& dtype = "float32");

}  // namespace attnlab
