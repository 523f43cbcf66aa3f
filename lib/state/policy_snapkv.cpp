#include <algorithm>

#include "state/budget_policy.h"
#include "state/policies.h"

namespace attnlab {
namespace {

class SnapKvPolicy final : public BudgetPolicy {
 public:
  using BudgetPolicy::BudgetPolicy;
  ChoiceOf choice_of() const override {
    return settings().by_query_head ? ChoiceOf::query_head : ChoiceOf::any_head;
  }
  bool wants_attention() const override { return true; }

 protected:
  // A piece of the prompt may hold some of its last queries: each looks at no token behind its own, so that
  // their sums can be taken piece by piece.
  void observe(const HeldTokens& held, torch::Tensor& scores_BhS) const override {
    const int64_t n = std::min(held.looked->T, settings().window - held.sequence.to_come());
    if (n <= 0) return;
    const auto sums = column_sums(*held.looked, held.places_BhS.size(1), torch::ones({n}));
    scores_BhS = scores_BhS.defined() ? scores_BhS + sums : sums;
  }

  // What is in the window stays anyway, and tokens before it are pooled among themselves.
  torch::Tensor ranked_by(const HeldTokens& held, torch::Tensor& scores_BhS) const override {
    const int64_t before = std::max<int64_t>(held.places_BhS.size(2) - settings().window, 0);
    auto ranked = torch::zeros_like(scores_BhS);
    if (before > 0) ranked.narrow(2, 0, before).copy_(pooled(scores_BhS.narrow(2, 0, before)));
    return ranked;
  }

 private:
  // Padding is 0 in the average, and never the largest.
  torch::Tensor pooled(const torch::Tensor& x_BhS) const {
    const int64_t kernel = settings().kernel, half = kernel / 2;
    if (settings().pooling == ScorePooling::max) return torch::max_pool1d(x_BhS, kernel, 1, half);
    return torch::avg_pool1d(x_BhS, kernel, 1, half);
  }
};

}  // namespace

std::shared_ptr<const CachePolicy> snapkv_policy(const PolicySettings& settings) {
  return std::make_shared<const SnapKvPolicy>(settings);
}

}  // namespace attnlab
