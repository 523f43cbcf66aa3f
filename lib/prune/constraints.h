// Lagrange multipliers that hold masks to a target (Sheared LLaMA, arXiv 2310.06694, equation 3, on sparsities
// as in public code, not on counts).
#pragma once

#include <string>
#include <utility>

#include "prune/shape_masks.h"

namespace attnlab {

// How many numbers of each mask stay. Empty: a share of all parameters instead.
using MaskTargets = std::map<MaskKind, int64_t>;

struct ConstraintOptions {
  MaskTargets targets;
  double target_sparsity = 0;  // of all prunable parameters; counts where there are no targets
  double start_sparsity = 0;
  int64_t warm_up = 0;  // steps until the targets hold in full
};

// λ and φ, each [1] float32. They are raised: gradient ascent.
struct Multipliers {
  torch::Tensor linear, square;
};

class Constraints {
 public:
  // λ and φ are 0: one pair for each mask that has a target, or one for all.
  Constraints(const PrunedShape& shape, const ConstraintOptions& options, const MaskParameters& masks);

  // By mask; without targets under the key nullopt.
  std::map<std::optional<MaskKind>, Multipliers>& multipliers() { return multipliers_; }
  // start + (target - start) · min(1, step / warm-up).
  double target(std::optional<MaskKind> kind, int64_t step) const;
  // Σ over masks of the mean over layers of λ (ŝ - t) + φ (ŝ - t)², ŝ the expected sparsity.
  torch::Tensor loss(const MaskParameters& masks, int64_t step) const;
  // 1 - expected / prunable parameters.
  torch::Tensor overall_sparsity(const MaskParameters& masks) const;

 private:
  PrunedShape shape_;
  ConstraintOptions options_;
  std::map<std::optional<MaskKind>, Multipliers> multipliers_;
};

}  // namespace attnlab
