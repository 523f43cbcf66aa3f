// The losses of a step that a teacher takes part in.
#pragma once

#include <memory>
#include <vector>

#include "model/loss.h"
#include "train/distill_config.h"

namespace attnlab {

// Sums over a batch's positions with a target; scalars, of which the objective is differentiable.
struct TaughtLoss {
  torch::Tensor objective, cross_entropy, divergence;
  torch::Tensor layers;  // Σ over layers of the distances; 0 where they are not compared
};

class Distillation {
 public:
  // `teacher`: on the students' device, in the formats that they compute in. It is never trained.
  Distillation(std::shared_ptr<Decoder> teacher, const DistillConfig& config);

  // One pass of the teacher without a graph, one of the student with one; reads nothing from the device. The
  // caller's autocast holds for both, so that a student that is its teacher has divergence 0.
  TaughtLoss loss(Decoder& student, const LossInput& input) const;

  const Decoder& teacher() const { return *teacher_; }

 private:
  std::shared_ptr<Decoder> teacher_;
  DistillConfig config_;
};

// Why this teacher can't teach such students, if so (key below train.distill): another vocabulary's size,
// layers that have no counterpart, fewer positions than `sequence_length`.
std::optional<BadInput> teacher_problem(const DecoderConfig& teacher, const DecoderConfig& student,
                                        const DistillConfig& config, int64_t sequence_length);

}  // namespace attnlab
