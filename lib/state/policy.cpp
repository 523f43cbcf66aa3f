#include "state/policy.h"

#include <algorithm>

namespace attnlab {
namespace {

class KeepAll final : public CachePolicy {
 public:
  bool keeps_all() const override { return true; }
  torch::Tensor choose(const HeldTokens&, torch::Tensor&) const override { return {}; }
  int64_t held_at(int64_t context) const override { return context; }
};

}  // namespace

std::shared_ptr<const CachePolicy> keep_all() {
  static const auto policy = std::make_shared<const KeepAll>();
  return policy;
}

CachePlan make_cache_plan(const CacheConfig& config) {
  CachePlan plan;
  switch (config.policy) {
    case CachePolicyName::all:
      plan.policy = keep_all();
      break;
  }
  switch (config.storage) {
    case CacheStorageName::dense:
      plan.storage = dense_storage;
      break;
  }
  plan.as_computed = config.policy == CachePolicyName::all && config.storage == CacheStorageName::dense;
  return plan;
}

std::optional<BadInput> policy_problem(const CachePolicy& policy, const StateLayout& layout) {
  if (policy.keeps_all()) return std::nullopt;
  const auto bad = [](const char* found, const char* expected) {
    return BadInput{.key = "policy", .found = found, .expected = expected};
  };
  int64_t heads = 0;
  for (const auto& slot : layout) {
    if (slot.extent == Extent::fixed) continue;
    if (policy.by_head() && (slot.heads == 1 || (heads > 0 && slot.heads != heads)))
      return bad("a policy that chooses by KV head",
                 "one that chooses by token: all heads of this layer read the same cached numbers");
    heads = slot.heads;
  }
  if (heads == 0)
    return bad("a policy that drops tokens", "all: this layer keeps a state of fixed size, and no tokens");
  return std::nullopt;
}

}  // namespace attnlab
