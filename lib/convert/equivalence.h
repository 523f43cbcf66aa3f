// How far a converted model is from the one before it.
#pragma once

#include "core/fields.h"
#include "model/decoder.h"

namespace attnlab {

struct Equivalence {
  double max_logit_difference = 0;
  double mean_logit_difference = 0;
  double kl_divergence = 0;    // mean over positions of KL(before || after), nats
  double logit_deviation = 0;  // standard deviation of the logits before, for scale
  int64_t positions = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"max_logit_difference", "largest |logit after - logit before|"}, self.max_logit_difference);
    visit(Key{"mean_logit_difference", "mean of that"}, self.mean_logit_difference);
    visit(Key{"kl_divergence", "mean KL(before || after) in nats"}, self.kl_divergence);
    visit(Key{"logit_deviation", "standard deviation of the logits before"}, self.logit_deviation);
    visit(Key{"positions", "positions that were compared"}, self.positions);
  }
};

// Compares two decoders with one vocabulary on the same tokens [B, T], in the decoders' own precision; the sums
// are in double. A NaN in either shows as NaN. Without tokens all is zero.
Equivalence compare_logits(Decoder& before, Decoder& after, const torch::Tensor& ids_BT);

}  // namespace attnlab
