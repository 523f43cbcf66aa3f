// Hugging Face config.json ↔ DecoderConfig, and the names of a family's tensors. A family is one file here and
// one row in families.cpp.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/errors.h"
#include "model/decoder_config.h"

namespace attnlab {

// Reads a checkpoint's config. `file` is named in errors. Keys that the family's modules do not look at are
// passed over, as Hugging Face transformers does; of the others every one that would change the mathematics is
// used or refused: throws InputError with key, found and expected. Dropout is not applied. `notes`, if given,
// gets a line for each key that has no effect here and whose value could be meant to have one.
DecoderConfig read_decoder_config(const nlohmann::json& config, const std::filesystem::path& file,
                                  std::vector<std::string>* notes = nullptr);

// The config.json that Hugging Face transformers reads back as the same model. `dtype`: "float32", "bfloat16"
// or "float16", of the weights beside it.
nlohmann::ordered_json write_decoder_config(const DecoderConfig& config, const std::string& dtype = "float32");

// What no decoder can have, or what the family's config.json cannot say (key and range), if any.
std::optional<BadInput> decoder_problem(const DecoderConfig& config);

// Where a parameter of the decoder stands in the family's files: rows of a tensor that may hold several.
struct FileTensor {
  std::string name;
  int64_t first_row = 0;
  bool part = false;  // the tensor holds other parameters, too
};
// `name`: a parameter of a Decoder ("model.layers.0.self_attn.k_proj.weight").
FileTensor file_tensor(const DecoderConfig& config, const std::string& name);

}  // namespace attnlab
