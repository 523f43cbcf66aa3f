// Direct preference optimisation (arXiv 2305.18290).
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Log-probabilities of P answers, each summed over its tokens, in nats: [P].
struct AnswerPair {
  torch::Tensor chosen, rejected;
};

// The mean over pairs of -ln σ(β [(π_w - ref_w) - (π_l - ref_l)]), a scalar, differentiable in the policy
// (equation 7).
torch::Tensor preference_loss(const AnswerPair& policy, const AnswerPair& reference, double beta);

}  // namespace attnlab
