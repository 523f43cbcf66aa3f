// Which steps were not applied, asked of the device only now and then.
#pragma once

#include <vector>

#include "train/trainer.h"

namespace attnlab {

class FiniteWatch {
 public:
  struct Step {
    int64_t step = 0;
    double loss = 0, gradient_norm = 0;
  };

  void add(int64_t step, const StepResult& result);
  // Of the steps since the last call, those that were not finite, in order. One host-device sync.
  std::vector<Step> take();

 private:
  struct Waiting {
    int64_t step;
    torch::Tensor loss, gradient_norm, nonfinite;
  };
  std::vector<Waiting> waiting_;
};

}  // namespace attnlab
