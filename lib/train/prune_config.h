// How an arm is pruned while it trains (Sheared LLaMA, arXiv 2310.06694), without torch.
#pragma once

#include <cstdint>

#include "core/fields.h"

namespace attnlab {

// The first `steps` steps train masks beside the weights, held to the shape below by Lagrange multipliers; then
// the model is cut to that shape, and the rest of the steps trains it on, with moments that start anew.
struct PruneConfig {
  int64_t steps = 0;
  int64_t d_model = 0, n_layers = 0, n_kv_heads = 0, d_ff = 0;
  int64_t warmup_steps = 0;
  double mask_lr = 1, multiplier_lr = 1;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"steps", "steps with masks, behind which the model is cut; fewer than train.steps"}
              .at_least(1)
              .must_be_given(),
          self.steps);
    visit(Key{"d_model", "numbers of the residual stream that stay; 0: all"}.at_least(0), self.d_model);
    visit(Key{"n_layers", "layers that stay; 0: all"}.at_least(0), self.n_layers);
    visit(Key{"n_kv_heads", "KV heads that stay in each layer, with their query heads; 0: all"}.at_least(0),
          self.n_kv_heads);
    visit(Key{"d_ff", "columns of each MLP that stay; 0: all"}.at_least(0), self.d_ff);
    visit(Key{"warmup_steps", "steps until the shape is asked for in full"}.at_least(0), self.warmup_steps);
    visit(Key{"mask_lr", "learning rate of the masks, which is constant"}.above(0), self.mask_lr);
    visit(Key{"multiplier_lr", "learning rate of the multipliers, which rise"}.above(0), self.multiplier_lr);
  }
};

}  // namespace attnlab
