// Qwen 2 and 2.5: biases on query, key and value; `sliding_window` counts only if `use_sliding_window` is true.
#include "model/families/json_keys.h"

namespace attnlab {

void read_qwen2(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("use_sliding_window", false);
  config.qkv_bias = true;
}

void write_qwen2(const DecoderConfig&, nlohmann::ordered_json& out) {
  out["architectures"] = {"Qwen2ForCausalLM"};
  out["use_sliding_window"] = false;
}

}  // namespace attnlab
