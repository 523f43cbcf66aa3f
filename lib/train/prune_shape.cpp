#include "train/prune_shape.h"

#include <fmt/format.h>

namespace attnlab {
namespace {

BadInput unfit(const char* key, const std::string& found, const std::string& expected) {
  return {.key = key, .found = found, .expected = expected};
}

}  // namespace

std::optional<BadInput> prune_problem(const ModelForm& form, const PruneConfig& config) {
  const DecoderConfig& base = form.config;
  if (!is_native(form) || base.mla || base.moe || traits_of(base.family).sandwich_norms)
    return unfit("steps", fmt::format("masks on {} of a {}", form_name(form), name_of(base.family)),
                 "gqa with dense MLPs, and norms in front of them alone");
  if (config.d_model + config.n_layers + config.n_kv_heads + config.d_ff == 0)
    return unfit("d_model", "a target shape that is the base's",
                 "at least one of d_model, n_layers, n_kv_heads, d_ff");
  const auto beyond = [](const char* key, int64_t kept, int64_t all) -> std::optional<BadInput> {
    if (kept <= all) return std::nullopt;
    return unfit(key, fmt::format("{}", kept), fmt::format("at most the base's {}", all));
  };
  if (auto problem = beyond("d_model", config.d_model, base.d_model)) return problem;
  if (auto problem = beyond("n_layers", config.n_layers, base.n_layers)) return problem;
  if (auto problem = beyond("n_kv_heads", config.n_kv_heads, base.n_kv_heads)) return problem;
  if (auto problem = beyond("d_ff", config.d_ff, base.d_ff)) return problem;
  if (config.n_layers > 0 && !base.window_layers.empty())
    return unfit("n_layers", "layers some of which have a window", "0: which ones stay is not known before");
  return std::nullopt;
}

DecoderConfig pruned_config(const DecoderConfig& base, const PruneConfig& config) {
  DecoderConfig cut = base;
  if (config.d_model > 0) cut.d_model = config.d_model;
  if (config.n_layers > 0) cut.n_layers = config.n_layers;
  if (config.n_kv_heads > 0) {
    cut.n_heads = config.n_kv_heads * (base.n_heads / base.n_kv_heads);
    cut.n_kv_heads = config.n_kv_heads;
  }
  if (config.d_ff > 0) cut.d_ff = config.d_ff;
  return cut;
}

}  // namespace attnlab
