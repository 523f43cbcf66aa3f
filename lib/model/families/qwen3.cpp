// Qwen 3 (dense): an RMS norm on each query and key head before rotary, one flag for the biases of all four
// projections.
#include "model/families/forms.h"
#include "model/families/qwen_window.h"

namespace attnlab {
namespace {

void read_qwen3(const JsonKeys& keys, DecoderConfig& config) {
  config.qkv_bias = config.o_bias = keys.flag("attention_bias", false);
  read_qwen_window(keys, config);
}

void write_qwen3(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["attention_bias"] = config.qkv_bias;
  write_qwen_window(config, out);
}

}  // namespace

const FamilyForm kQwen3{.architecture = "Qwen3ForCausalLM",
                        .traits = {.qk_norm = true},
                        .defaults = {.n_kv_heads = 32, .head_dim = 128, .max_positions = 32768},
                        .rope_types = {"linear", "dynamic", "llama3", "yarn", "longrope"},
                        .read = read_qwen3,
                        .write = write_qwen3};

}  // namespace attnlab
