// The window keys that Qwen's families share.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "model/families/json_keys.h"

namespace attnlab {

void read_qwen_window(const JsonKeys& keys, DecoderConfig& config);
void write_qwen_window(const DecoderConfig& config, nlohmann::ordered_json& out);

}  // namespace attnlab
