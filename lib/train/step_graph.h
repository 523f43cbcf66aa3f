// A training step as one CUDA graph: recorded once, then launched as a whole, so that the host hands over one
// thing instead of thousands of kernels.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/loss.h"

namespace attnlab {

// What a step leaves, scalars on the device.
struct StepTensors {
  torch::Tensor loss;           // the cross-entropy: mean over the step's targets, nats
  torch::Tensor gradient_norm;  // before clipping
  torch::Tensor nonfinite;      // float32: 1 if what was trained on or the norm is not finite
  torch::Tensor stop;           // of ranks: how many were interrupted; otherwise undefined
  // Of a step with a teacher, means over the targets (distillation.h); otherwise undefined.
  torch::Tensor divergence, layer_distance, objective;
};

class StepGraph {
 public:
  // Steps that run as they come before one is recorded: libraries choose their kernels in them.
  static constexpr int64_t kStepsBefore = 2;

  // Whether this build and this device have graphs.
  static bool available(torch::Device device);

  // `ranks`: the step has collectives, whose threads look at the device while it is recorded.
  explicit StepGraph(torch::Device device, bool ranks = false);
  ~StepGraph();

  // The step on what `upload` brings to the device, `targets` in all. Once steps of the same shapes have come,
  // `compute` is recorded (it must not read from the device, and read nothing but its inputs, parameters and
  // state that stays where it is), and from then on steps of those shapes replay it; others run `compute`. All
  // happens on a stream of its own, which waits for the caller's and which the caller's waits for. `alive` is
  // asked at the recording for tensors that the record refers to and that others might let go.
  StepTensors run(int64_t targets, const std::function<std::vector<LossInput>()>& upload,
                  const std::function<StepTensors(const std::vector<LossInput>&)>& compute,
                  const std::function<std::vector<torch::Tensor>()>& alive);

  // How many steps were replayed.
  int64_t replayed() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attnlab
