// LLaMA 2 and 3: one flag puts biases on all four attention projections.
#include "model/families/json_keys.h"

namespace attnlab {

void read_llama(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("mlp_bias", false);
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
}

void write_llama(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["architectures"] = {"LlamaForCausalLM"};
  out["attention_bias"] = config.qkv_bias;
}

}  // namespace attnlab
