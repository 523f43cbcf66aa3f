// LLaMA 2 to 3.2: one flag puts biases on all four attention projections.
#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_llama(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("mlp_bias", false);
  keys.require_only("sliding_window", nullptr);
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
}

void write_llama(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["attention_bias"] = config.qkv_bias;
  out["mlp_bias"] = false;
}

}  // namespace

const FamilyForm kLlama{.architecture = "LlamaForCausalLM",
                        .traits = {},
                        .defaults = {},
                        .rope_types = {"linear", "llama3", "longrope"},
                        .read = read_llama,
                        .write = write_llama};

}  // namespace attnlab
