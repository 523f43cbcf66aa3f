// Phi-3, Phi-4 and Phi-4-mini: fused projections, rotary on a part of each head, longrope.
#include "model/families/forms.h"

namespace attnlab {
namespace {

void read_phi3(const JsonKeys& keys, DecoderConfig& config) {
  for (const char* key : {"attention_bias", "mlp_bias", "lm_head_bias"}) keys.require_only(key, false);
  read_window(keys, 0, config);
}

void write_phi3(const DecoderConfig& config, nlohmann::ordered_json& out) {
  write_window(config, out);
  // transformers wants the key in any case, and takes the context's growth from it.
  if (!config.rope_scaling) out["original_max_position_embeddings"] = config.max_positions;
}

}  // namespace

const FamilyForm kPhi3{.architecture = "Phi3ForCausalLM",
                       .traits = {},
                       .defaults = {.norm_eps = 1e-5, .max_positions = 4096},
                       .fused_projections = true,
                       .partial_rotary = true,
                       .rope_types = {"longrope"},
                       .read = read_phi3,
                       .write = write_phi3};

}  // namespace attnlab
