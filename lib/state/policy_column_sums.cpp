#include <algorithm>
#include <cmath>

#include "state/budget_policy.h"
#include "state/policies.h"

namespace attnlab {
namespace {

class ColumnSumsPolicy final : public BudgetPolicy {
 public:
  using BudgetPolicy::BudgetPolicy;
  ChoiceOf choice_of() const override { return ChoiceOf::any_head; }
  bool wants_attention() const override { return true; }
  int64_t scores_per_token() const override { return settings().every_step ? 1 : 0; }

 protected:
  void observe(const HeldTokens& held, torch::Tensor& scores_BhS) const override {
    const int64_t T = held.looked->T;
    const auto sums = column_sums(*held.looked, held.places_BhS.size(1), weights(T));
    const double kept = std::pow(settings().alpha, static_cast<double>(T));
    scores_BhS = scores_BhS.defined() ? scores_BhS * kept + sums : sums;
  }

  torch::Tensor ranked_by(const HeldTokens& held, torch::Tensor& scores_BhS) const override {
    if (!settings().mean_per_query) return scores_BhS;
    // Behind a prompt, as many queries saw a token as there are columns from its own on.
    return scores_BhS / (held.sequence.S() - held.places_BhS);
  }

 private:
  // α^{T - 1 - t} of the last queries, as many as have a weight above 0 in float32.
  torch::Tensor weights(int64_t T) const {
    const double alpha = settings().alpha;
    std::vector<float> newest_first;
    for (double w = 1; std::ssize(newest_first) < T && static_cast<float>(w) > 0; w *= alpha)
      newest_first.push_back(static_cast<float>(w));
    std::reverse(newest_first.begin(), newest_first.end());
    return torch::tensor(newest_first);
  }
};

}  // namespace

std::shared_ptr<const CachePolicy> column_sums_policy(const PolicySettings& settings) {
  return std::make_shared<const ColumnSumsPolicy>(settings);
}

}  // namespace attnlab
