// Attention with capped scores, which no fused kernel of torch has: in blocks of queries, and its gradients,
// too.
#pragma once

#include "attention/attend.h"

namespace attnlab {

// As `attend` (attend.h), with form.softcap > 0. Scores of one block of queries and of what the reach leaves of
// the keys are held at a time, in the forward and in the backward pass, which computes them again: between the
// two stand the inputs alone. Sums are at least float32; half-precision weights are rounded before values are
// summed. Differentiable once.
torch::Tensor attend_capped(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                            const torch::Tensor& v_BGSH, const torch::Tensor& mask_B1TS, const ScoreForm& form,
                            const Reach& reach, int64_t block = 256);

}  // namespace attnlab
