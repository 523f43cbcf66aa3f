// AdamW (arXiv 1711.05101) through torch's fused kernel; no host-device sync.
#pragma once

#include <string>
#include <vector>

#include "tensor/torch.h"
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

  // Scales the gradients down to config.clip_norm if they are longer (0: never), on a GPU within the update
  // that follows. Returns their 2-norm before that, a scalar on the device.
  torch::Tensor clip_gradients();
  // Which step (from 1) and learning rate the next update has. On a GPU both lie on the device, so that a
  // recorded update reads them there.
  void set_step(int64_t step, double learning_rate);
  // Updates, then forgets the gradients. `skip` is a float32 scalar on the device: where it is 1, parameters
  // and moments stay as they are. Undefined: 0.
  void update(const torch::Tensor& skip = {});

  const std::vector<Slot>& slots() const { return slots_; }

 private:
  void update_group(bool matrices, const torch::Tensor& skip);
  TrainConfig config_;
  std::vector<Slot> slots_;
  double rate_ = 0;
  // float32 scalars beside the parameters; the last two on a GPU alone. Gradients are divided by the last.
  torch::Tensor step_, rate_on_device_, clip_divisor_;
};

}  // namespace attnlab
