#include "state/budget_policy.h"
#include "state/policies.h"

namespace attnlab {
namespace {

class LastQueryPolicy final : public BudgetPolicy {
 public:
  using BudgetPolicy::BudgetPolicy;
  bool wants_attention() const override { return true; }

 protected:
  torch::Tensor ranked_by(const HeldTokens& held, torch::Tensor&) const override {
    return column_sums(*held.looked, 1, torch::ones({1}));
  }
};

}  // namespace

std::shared_ptr<const CachePolicy> last_query_policy(const PolicySettings& settings) {
  return std::make_shared<const LastQueryPolicy>(settings);
}

}  // namespace attnlab
