// Mistral: LLaMA without biases; checkpoints with a sliding window are refused.
#include "model/families/json_keys.h"

namespace attnlab {

void read_mistral(const JsonKeys& keys, DecoderConfig&) { keys.require_only("sliding_window", nullptr); }

void write_mistral(const DecoderConfig&, nlohmann::ordered_json& out) {
  out["architectures"] = {"MistralForCausalLM"};
  out["sliding_window"] = nullptr;
}

}  // namespace attnlab
