#include "state/cache_config.h"

#include <algorithm>

#include "state/policy.h"

namespace attnlab {
namespace {

constexpr int64_t kPlaceBytes = 4, kScoreBytes = 4;  // int32, float32

}  // namespace

std::optional<BadInput> cache_config_problem(const CacheConfig& config) {
  return policy_config_problem(config.policy);
}

std::string why_idle(const CacheConfig& config, const std::string& key) {
  if (key == "storage" || key == "report_context") return "";
  return why_idle(config.policy, key);
}

double state_bytes(const CacheConfig& config, const KeptLayer& layer, int64_t context) {
  const CachePlan plan = make_cache_plan(config);
  const CachePolicy& policy = *plan.policy_of(layer.layer);
  const int64_t visible = layer.window > 0 ? std::min(layer.window, context) : context;
  const int64_t held = policy.keeps_all() ? visible : policy.held_at(context);
  const int64_t numbers = numbers_per_token(layer.layout);
  double bytes = 4 * static_cast<double>(fixed_numbers(layer.layout));
  if (numbers == 0) return bytes;
  int64_t of_token = numbers * layer.element_bytes * kept_copies(policy, layer.layout, layer.n_heads);
  if (!policy.keeps_all())
    of_token += choice_heads(policy, layer.layout, layer.n_heads) *
                (kPlaceBytes * (policy.reindexes() ? 2 : 1) + kScoreBytes * policy.scores_per_token());
  return bytes + static_cast<double>(held) * static_cast<double>(of_token);
}

}  // namespace attnlab
