// The same bits each time on a GPU.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Must be called before the first product on a GPU: cuBLAS reads its setting (CUBLAS_WORKSPACE_CONFIG) once. A
// setting of the user's stays.
void prepare_determinism();

// While it lives, and if it is on and the device a GPU, torch takes deterministic algorithms alone; an
// operation that has none throws c10::Error naming itself. On the CPU all that a step does is deterministic as
// it is.
class DeterministicScope {
 public:
  DeterministicScope(bool on, torch::Device device);
  ~DeterministicScope();
  DeterministicScope(const DeterministicScope&) = delete;
  DeterministicScope& operator=(const DeterministicScope&) = delete;

 private:
  bool on_, algorithms_, warn_only_, cudnn_, benchmark_, fill_;
};

}  // namespace attnlab
