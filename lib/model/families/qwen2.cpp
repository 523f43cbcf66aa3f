// Qwen 2 and 2.5: biases on query, key and value. `sliding_window` counts only if `use_sliding_window` is true,
// and then for the layers from `max_window_layers` on.
#include "model/families/forms.h"
#include "model/families/qwen_window.h"

namespace attnlab {

void read_qwen_window(const JsonKeys& keys, DecoderConfig& config) {
  if (!keys.flag("use_sliding_window", false)) return refuse_typed_windows(keys, config.n_layers);
  const int64_t first = keys.count_or_zero("max_window_layers", 28);
  if (!keys.has("layer_types") && first >= config.n_layers) return;
  read_window_by_layer(keys, 4096, layers_from(first, 1, config.n_layers), config);
}

void write_qwen_window(const DecoderConfig& config, nlohmann::ordered_json& out) {
  out["use_sliding_window"] = config.window > 0;
  write_window_by_layer(config, out);
}

namespace {
void read_qwen2(const JsonKeys& keys, DecoderConfig& config) {
  keys.require_only("use_mrope", false);
  config.qkv_bias = true;
  read_qwen_window(keys, config);
}
}  // namespace

const FamilyForm kQwen2{.architecture = "Qwen2ForCausalLM",
                        .traits = {},
                        .defaults = {.n_kv_heads = 32, .max_positions = 32768},
                        .rope_types = {"linear", "dynamic", "llama3", "yarn", "longrope"},
                        .read = read_qwen2,
                        .write = write_qwen_window};

}  // namespace attnlab
