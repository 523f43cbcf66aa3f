#include "state/cache_config.h"

#include <algorithm>

#include "state/policy.h"

namespace attnlab {
namespace {

constexpr int64_t kPlaceBytes = 4, kScoreBytes = 4;  // int32, float32

// LazyLLM: tokens that reached a layer, and those that left below it.
struct LayerTokens {
  int64_t held = 0, waiting = 0;
};
LayerTokens lazy_tokens(const PruneSchedule& pruning, const KeptLayer& layer, int64_t context) {
  const auto tokens = tokens_of_layers(pruning, static_cast<int64_t>(layer.n_layers), context);
  return {.held = tokens.at(layer.layer),
          .waiting = layer.layer > 0 ? tokens[layer.layer - 1] - tokens[layer.layer] : 0};
}

LayerTokens tokens_of(const CachePlan& plan, const CachePolicy& policy, const KeptLayer& layer,
                      int64_t context) {
  if (plan.pruning) return lazy_tokens(*plan.pruning, layer, context);
  const int64_t visible = layer.window > 0 ? std::min(layer.window, context) : context;
  return {.held = policy.keeps_all() ? visible : policy.held_at(context)};
}

}  // namespace

std::optional<BadInput> cache_config_problem(const CacheConfig& config) {
  auto problem = policy_config_problem(config.policy);
  return problem ? problem : storage_config_problem(config.storage);
}

std::string why_idle(const CacheConfig& config, const std::string& key) {
  if (key == "storage" || key == "report_context") return "";
  return is_storage_key(key) ? why_idle(config.storage, key) : why_idle(config.policy, key);
}

double state_bytes(const CacheConfig& config, const KeptLayer& layer, int64_t context) {
  return plan_bytes(make_cache_plan(config), layer, context);
}

double plan_bytes(const CachePlan& plan, const KeptLayer& layer, int64_t context) {
  const StoragePlan own = plan.storage->of_layer(layer.layer, layer.n_layers);
  const StorageForm& storage = own ? *own : *plan.storage;
  const CachePolicy& policy = *plan.policy_of(layer.layer);
  const auto [held, waiting] = tokens_of(plan, policy, layer, context);
  double bytes = 4 * static_cast<double>(fixed_numbers(layer.layout));
  if (numbers_per_token(layer.layout) == 0) return bytes;
  const int64_t copies = kept_copies(policy, layer.layout, layer.n_heads);
  for (StateSlot slot : layer.layout) {
    if (slot.extent == Extent::fixed) continue;
    slot.width *= copies, slot.heads *= copies;
    bytes += storage.bytes(slot, held, layer.element_bytes);
  }
  if (policy.keeps_all()) return bytes;
  bytes += static_cast<double>(waiting * (layer.d_model * layer.element_bytes + kPlaceBytes));
  const int64_t beside = kPlaceBytes * (policy.reindexes() ? 2 : 1) + kScoreBytes * policy.scores_per_token();
  return bytes + static_cast<double>(held * beside * choice_heads(policy, layer.layout, layer.n_heads));
}

}  // namespace attnlab
