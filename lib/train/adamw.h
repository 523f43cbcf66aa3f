// AdamW (arXiv 1711.05101) through torch's fused kernel; no host-device sync.
#pragma once

#include <span>
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
    bool matrix = false;
    torch::Tensor gradient = {};  // of a part of a parameter; otherwise the parameter's own
  };

  AdamW(const std::vector<std::pair<std::string, torch::Tensor>>& parameters, const TrainConfig& config);
  // Parts of parameters, whose gradients the caller puts into `slots` before each update.
  static AdamW of_parts(std::vector<Slot> parts, const TrainConfig& config) {
    AdamW optimizer({}, config);
    optimizer.slots_ = std::move(parts);
    return optimizer;
  }

  // Scales the gradients down to config.clip_norm if they are longer (0: never), on a GPU within the update
  // that follows. Returns their 2-norm before that, a scalar on the device.
  torch::Tensor clip_gradients();
  // The same, where the norm is known: a scalar on the device.
  void clip_to(const torch::Tensor& norm);
  // Which step (from 1) and learning rate the next update has. On a GPU both lie on the device, so that a
  // recorded update reads them there.
  void set_step(int64_t step, double learning_rate);
  // Updates, then forgets the gradients. `skip` is a float32 scalar on the device: where it is 1, parameters
  // and moments stay as they are. Undefined: 0.
  void update(const torch::Tensor& skip = {});
  // The same in parts: the slots from `first` up to `end`; those that have the last are the last part.
  void update_slots(size_t first, size_t end, const torch::Tensor& skip);

  const std::vector<Slot>& slots() const { return slots_; }
  std::vector<Slot>& slots() { return slots_; }

 private:
  static const torch::Tensor& gradient_of(const Slot& slot);
  std::vector<torch::Tensor> gradients() const;
  void update_group(std::span<Slot> slots, bool matrices, const torch::Tensor& skip);
  TrainConfig config_;
  std::vector<Slot> slots_;
  double rate_ = 0;
  // float32 scalars beside the parameters; the last two on a GPU alone. Gradients are divided by the last.
  torch::Tensor step_, rate_on_device_, clip_divisor_;
};

}  // namespace attnlab
