#include "state/budget_policy.h"
#include "state/policies.h"

namespace attnlab {
namespace {

class NewestPolicy final : public BudgetPolicy {
 public:
  using BudgetPolicy::BudgetPolicy;

 protected:
  torch::Tensor ranked_by(const HeldTokens&, torch::Tensor&) const override { return {}; }
};

}  // namespace

std::shared_ptr<const CachePolicy> newest_policy(const PolicySettings& settings) {
  return std::make_shared<const NewestPolicy>(settings);
}

}  // namespace attnlab
