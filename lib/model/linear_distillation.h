// Student's and teacher's output matrices, the divergence of what they predict and the cross-entropy, in one
// operation in pieces: neither's logits of all positions ever exist.
#pragma once

#include "model/divergence_form.h"
#include "tensor/torch.h"

namespace attnlab {

// One side: hidden states [P, D], output matrix [V, D], cap of the logits (0: none).
struct OutputSide {
  torch::Tensor hidden_PD, weight_VD;
  double softcap = 0;
};

// Sums over positions, in nats: scalars, of which the objective is differentiable in the student.
struct DistillationSums {
  torch::Tensor objective;      // weight · divergence + (1 - weight) · cross_entropy
  torch::Tensor divergence;     // as divergence_form.h has it, with τ²
  torch::Tensor cross_entropy;  // of the targets [P], at τ = 1
};

// Both sides have the same V; D may differ. Formats and memory as linear_cross_entropy: P·D and V·D numbers of
// gradients, and pieces of logits, `rows` positions each (0: as many as make 2²³ logits of each side, 2²⁶ on a
// GPU; some eight tensors of that size live at a time).
DistillationSums linear_distillation(const OutputSide& student, const OutputSide& teacher,
                                     const torch::Tensor& targets_P, const DivergenceForm& form, double weight,
                                     int64_t rows = 0);

}  // namespace attnlab
