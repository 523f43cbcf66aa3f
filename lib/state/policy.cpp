#include "state/policy.h"

#include "state/policies.h"
#include "state/storage_forms.h"

namespace attnlab {
namespace {

class KeepAll final : public CachePolicy {
 public:
  bool keeps_all() const override { return true; }
  KeptTokens choose(const HeldTokens&, torch::Tensor&) const override { return {}; }
  int64_t held_at(int64_t context) const override { return context; }
};

std::shared_ptr<const CachePolicy> make_policy(CachePolicyName name, const PolicySettings& settings) {
  switch (name) {
    case CachePolicyName::all:
      break;
    case CachePolicyName::window:
    case CachePolicyName::streaming:
      return newest_policy(settings);
    case CachePolicyName::h2o:
    case CachePolicyName::a2sf:
      return column_sums_policy(settings);
    case CachePolicyName::tova:
      return last_query_policy(settings);
    case CachePolicyName::snapkv:
      return snapkv_policy(settings);
    case CachePolicyName::lazyllm:
      return layerwise_policy(true);
  }
  return keep_all();
}

void set_policies(CachePlan& plan, const PolicyConfig& config) {
  if (config.policy == CachePolicyName::lazyllm) plan.pruning = prune_schedule(config);
  const size_t layers = std::max(config.layer_budgets.size(), config.layer_shares.size());
  for (size_t layer = 0; layer < layers; ++layer)
    plan.layer_policies.push_back(make_policy(config.policy, policy_settings(config, layer)));
  plan.policy = layers > 0 ? plan.layer_policies[0] : make_policy(config.policy, policy_settings(config, 0));
}

}  // namespace

std::shared_ptr<const CachePolicy> keep_all() {
  static const auto policy = std::make_shared<const KeepAll>();
  return policy;
}

CachePlan make_cache_plan(const CacheConfig& config) {
  ATTNLAB_CHECK(!policy_config_problem(config.policy));
  CachePlan plan;
  if (config.policy.policy != CachePolicyName::all) set_policies(plan, config.policy);
  plan.behind_context = config.policy.behind == ActsBehind::context;
  plan.storage = storage_form(config.storage);
  plan.as_computed = plan.keeps_all() && plan.storage->as_computed();
  return plan;
}

int64_t choice_heads(const CachePolicy& policy, const StateLayout& layout, int64_t N) {
  switch (policy.choice_of()) {
    case ChoiceOf::token:
      return 1;
    case ChoiceOf::kv_head:
    case ChoiceOf::any_head:
      return common_heads(layout);
    case ChoiceOf::query_head:
      return N;
  }
  return 1;
}

int64_t kept_copies(const CachePolicy& policy, const StateLayout& layout, int64_t N) {
  return policy.choice_of() == ChoiceOf::query_head ? N / common_heads(layout) : 1;
}

std::optional<BadInput> storage_problem(const StorageForm& storage, const StateLayout& layout) {
  for (const auto& slot : layout)
    if (slot.extent == Extent::per_token)
      if (auto problem = storage.problem(slot)) return problem;
  return std::nullopt;
}

std::optional<BadInput> sharing_problem(const StorageForm& storage, const CachePlan& plan) {
  const bool alike = plan.layer_policies.empty() && !plan.pruning && !plan.policy->wants_attention() &&
                     (plan.keeps_all() || plan.policy->choice_of() == ChoiceOf::token);
  if (!storage.over_layers() || alike) return std::nullopt;
  return BadInput{.key = "policy",
                  .found = "one that chooses in each layer by itself",
                  .expected = "all, window or streaming: layers that share directions keep the same tokens"};
}

std::optional<BadInput> policy_problem(const CachePolicy& policy, const StateLayout& layout) {
  // A layer that reads another's keeps nothing of its own.
  if (policy.keeps_all() || layout.empty()) return std::nullopt;
  const auto bad = [](const char* key, const char* found, const char* expected) {
    return BadInput{.key = key, .found = found, .expected = expected};
  };
  int64_t slots = 0;
  for (const auto& slot : layout) {
    if (slot.extent == Extent::fixed) continue;
    ++slots;
    if (policy.choice_of() == ChoiceOf::query_head && !slot.of_kv_heads)
      return bad("policy", "a choice by query head",
                 "one by token or KV head: this layer keeps no keys and values of KV heads that could be "
                 "repeated for each query head");
    if (policy.choice_of() == ChoiceOf::kv_head && (slot.heads == 1 || slot.heads != common_heads(layout)))
      return bad("policy", "a policy that chooses by KV head",
                 "one that chooses by token: all heads of this layer read the same cached numbers");
    if (policy.reindexes() && slot.own_frequencies)
      return bad("positions", "reindexed", "original: this layer's keys turn by frequencies of their own");
  }
  if (slots == 0)
    return bad("policy", "a policy that drops tokens",
               "all: this layer keeps a state of fixed size, and no tokens");
  return std::nullopt;
}

}  // namespace attnlab
