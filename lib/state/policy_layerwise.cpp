#include "state/budget_policy.h"
#include "state/policies.h"

namespace attnlab {
namespace {

class LayerwisePolicy final : public CachePolicy {
 public:
  explicit LayerwisePolicy(bool looks) : looks_(looks) {}
  bool wants_attention() const override { return looks_; }
  KeptTokens choose(const HeldTokens& held, torch::Tensor& scores_BhS) const override {
    if (looks_) scores_BhS = column_sums(*held.looked, 1, torch::ones({1}));
    return {};
  }
  int64_t held_at(int64_t context) const override { return context; }

 private:
  bool looks_;
};

}  // namespace

std::shared_ptr<const CachePolicy> layerwise_policy(bool looks) {
  return std::make_shared<const LayerwisePolicy>(looks);
}

}  // namespace attnlab
