// LLaMA 2 to 3.2: one flag puts biases on all four attention projections, another on
// the three of the MLP.
#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_llama(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("sliding_window", nullptr);
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
  config.mlp_bias = keys.flag("mlp_bias", false);
}

void write_llama(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["attention_bias"] = config.qkv_bias;
  out["mlp_bias"] = config.mlp_bias;
}

}  // namespace

const FamilyForm kLlama{.architecture = "LlamaForCausalLM",
                        .traits = {},
                        .defaults = {},
                        .rope_types = {"linear", "dynamic", "llama3", "yarn", "longrope"},
                        .read = read_llama,
                        .write = write_llama};

}  // namespace attnlab
