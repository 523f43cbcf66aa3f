#include "prune/constraints.h"

#include <algorithm>

namespace attnlab {

Constraints::Constraints(const PrunedShape& shape, const ConstraintOptions& options,
                         const MaskParameters& masks)
    : shape_(shape), options_(options) {
  const auto zero = [] { return torch::zeros({1}, torch::kFloat32).requires_grad_(); };
  for (const auto& [kind, kept] : options.targets)
    if (masks.contains(kind)) multipliers_[kind] = {zero(), zero()};
  if (options.targets.empty()) multipliers_[std::nullopt] = {zero(), zero()};
}

double Constraints::target(std::optional<MaskKind> kind, int64_t step) const {
  const double end =
      kind ? 1 - static_cast<double>(options_.targets.at(*kind)) / static_cast<double>(shape_.size(*kind))
           : options_.target_sparsity;
  const double share = options_.warm_up > 0
                           ? std::min(1.0, static_cast<double>(step) / static_cast<double>(options_.warm_up))
                           : 1;
  return options_.start_sparsity + (end - options_.start_sparsity) * share;
}

torch::Tensor Constraints::overall_sparsity(const MaskParameters& masks) const {
  return 1 - expected_parameters(shape_, masks) / shape_.prunable();
}

torch::Tensor Constraints::loss(const MaskParameters& masks, int64_t step) const {
  torch::Tensor total = torch::zeros({});
  for (const auto& [kind, multiplier] : multipliers_) {
    const auto sparsity = kind ? expected_sparsity(masks.at(*kind)) : overall_sparsity(masks);
    const auto off = sparsity - target(kind, step);
    total = total + (multiplier.linear * off + multiplier.square * off.square()).mean();
  }
  return total;
}

}  // namespace attnlab
