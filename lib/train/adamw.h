// AdamW (arXiv 1711.05101) through torch's fused kernel; no host-device sync.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "train/train_config.h"

namespace attnlab {

// Matrices decay; vectors (norms, biases) do not.
class AdamW {
 public:
  struct Slot {
    std::string name;
    torch::Tensor parameter, first_moment, second_moment;
  };

  AdamW(const std::vector<std::pair<std::string, torch::Tensor>>& parameters, const TrainConfig& config);

  // Scales the gradients down to config.clip_norm if they are longer (0: never), and returns their 2-norm
  // before that, a scalar on the device.
  torch::Tensor clip_gradients();
  // The step-th update (from 1), then forgets the gradients. `skip` is a float32 scalar on the device: where it
  // is 1, parameters and moments stay as they are. Undefined: 0.
  void update(int64_t step, double learning_rate, const torch::Tensor& skip = {});

  const std::vector<Slot>& slots() const { return slots_; }

 private:
  void update_group(bool matrices, int64_t step, double learning_rate, const torch::Tensor& skip);
  TrainConfig config_;
  std::vector<Slot> slots_;
};

}  // namespace attnlab
