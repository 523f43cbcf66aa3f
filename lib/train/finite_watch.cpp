#include "train/finite_watch.h"

namespace attnlab {

void FiniteWatch::add(int64_t step, const StepResult& result) {
  waiting_.push_back({step, result.loss, result.gradient_norm, result.nonfinite});
}

std::vector<FiniteWatch::Step> FiniteWatch::take() {
  std::vector<Step> found;
  if (waiting_.empty()) return found;
  std::vector<torch::Tensor> flags;
  for (const auto& step : waiting_) flags.push_back(step.nonfinite);
  const auto bad = torch::stack(flags).to(torch::kCPU);
  for (size_t i = 0; i < waiting_.size(); ++i)
    if (bad[static_cast<int64_t>(i)].item<float>() != 0)
      found.push_back(
          {waiting_[i].step, waiting_[i].loss.item<double>(), waiting_[i].gradient_norm.item<double>()});
  waiting_.clear();
  return found;
}

}  // namespace attnlab
