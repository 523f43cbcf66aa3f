#include "state/cache_config.h"

#include <algorithm>

#include "state/policy.h"

namespace attnlab {

double state_bytes(const CacheConfig& config, const KeptLayer& layer, int64_t context) {
  const CachePlan plan = make_cache_plan(config);
  const int64_t visible = layer.window > 0 ? std::min(layer.window, context) : context;
  double bytes = 4 * static_cast<double>(fixed_numbers(layer.layout));
  for (const auto& slot : layer.layout) {
    if (slot.extent == Extent::fixed) continue;
    const auto held = static_cast<double>(std::min(visible, plan.policy->held_at(context)));
    bytes += held * static_cast<double>(slot.width * layer.element_bytes +
                                        plan.policy->bytes_beside(plan.policy->by_head() ? slot.heads : 1));
  }
  return bytes;
}

}  // namespace attnlab
