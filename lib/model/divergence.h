// The losses of divergence_form.h on logits.
//
// Shapes: R positions, V vocabulary, C outcomes (the vocabulary; k tokens, or k and a rest).
#pragma once

#include "model/divergence_form.h"
#include "tensor/torch.h"

namespace attnlab {

struct DivergenceSum {
  torch::Tensor loss;        // Σ over positions, nats; a scalar
  torch::Tensor dlogits_RV;  // its gradient in the student's logits; undefined where none was asked for
};

// Student's and teacher's logits [R, V], float32 or float64, of the same tokens in the same order. Where q
// underflows at a token, ln q is still finite, so that both KLs are. Of equal logits the gradient of forward KL
// is 0 exactly. `form.top_k_form` must fit the loss.
DivergenceSum divergence_sum(const torch::Tensor& student_RV, const torch::Tensor& teacher_RV,
                             const DivergenceForm& form, bool with_gradient);

}  // namespace attnlab
