// What a function launches on a GPU, recorded (a CUDA graph) and launched again as a whole: the host hands over
// one thing in place of hundreds of kernels.
#pragma once

#include <functional>
#include <memory>

#include "tensor/torch.h"

namespace attnlab {

class Recording {
 public:
  virtual ~Recording() = default;
  // On the current stream; the host does not wait.
  virtual void replay() = 0;
};

// Makes recordings that run one at a time: their memory is shared, so that what one leaves in tensors of its
// own lasts until another runs.
class Recorder {
 public:
  // Whether this build and this device have graphs.
  static bool available(torch::Device device);

  explicit Recorder(torch::Device device);
  ~Recorder();
  // Launches nothing. `compute` reads nothing from the device and ran in these shapes before, so that libraries
  // have chosen their kernels; tensors that it reads and writes stay where they are.
  std::unique_ptr<Recording> record(const std::function<void()>& compute);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attnlab
