// Mistral: LLaMA without biases, every layer with a sliding window (arXiv 2310.06825); later releases say null.
#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_mistral(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("attention_bias", false);
  read_window(keys, 4096, config);
}

void write_mistral(const DecoderConfig& config, nlohmann::ordered_json& out) { write_window(config, out); }

}  // namespace

const FamilyForm kMistral{.architecture = "MistralForCausalLM",
                          .traits = {},
                          .defaults = {.n_kv_heads = 8, .max_positions = 131072},
                          .rope_types = {"linear", "dynamic", "llama3", "yarn", "longrope"},
                          .read = read_mistral,
                          .write = write_mistral};

}  // namespace attnlab
