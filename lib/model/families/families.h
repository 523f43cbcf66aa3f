// Hugging Face config.json ↔ DecoderConfig. A family is one file here and one row in families.cpp.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/errors.h"
#include "model/decoder_config.h"

namespace attnlab {

// Reads a checkpoint's config. `file` is named in errors. Every key that would change the mathematics is used
// or refused: throws InputError with key, found and expected.
DecoderConfig read_decoder_config(const nlohmann::json& config, const std::filesystem::path& file);

// The config.json that Hugging Face transformers reads back as the same model.
nlohmann::ordered_json write_decoder_config(const DecoderConfig& config);

// Head counts that no decoder can have (key and range), if any.
std::optional<BadInput> decoder_problem(const DecoderConfig& config);

}  // namespace attnlab
