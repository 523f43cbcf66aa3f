#include "train/adamw.h"

namespace attnlab {

AdamW::AdamW(const std::vector<std::pair<std::string, torch::Tensor>>& parameters, const TrainConfig& config)
    : config_(config) {
  for (const auto& [name, parameter] : parameters)
    slots_.push_back({.name = name,
                      .parameter = parameter,
                      .first_moment = torch::zeros_like(parameter).detach(),
                      .second_moment = torch::zeros_like(parameter).detach()});
}

torch::Tensor AdamW::clip_gradients() {
  std::vector<torch::Tensor> gradients;
  for (const auto& slot : slots_)
    if (slot.parameter.grad().defined()) gradients.push_back(slot.parameter.grad());
  if (gradients.empty()) return torch::zeros({});
  const auto norm = torch::stack(at::_foreach_norm(gradients, 2, torch::kFloat32)).norm();
  if (config_.clip_norm > 0)
    at::_foreach_mul_(gradients, (config_.clip_norm / norm.clamp_min(1e-12)).clamp_max(1.0));
  return norm;
}

void AdamW::update(int64_t step, double learning_rate, const torch::Tensor& skip) {
  const torch::NoGradGuard no_grad;
  update_group(true, step, learning_rate, skip);
  update_group(false, step, learning_rate, skip);
  for (auto& slot : slots_) slot.parameter.mutable_grad().reset();
}

void AdamW::update_group(bool matrices, int64_t step, double learning_rate, const torch::Tensor& skip) {
  std::vector<torch::Tensor> parameters, gradients, first, second, steps;
  for (auto& slot : slots_) {
    if ((slot.parameter.dim() >= 2) != matrices || !slot.parameter.grad().defined()) continue;
    parameters.push_back(slot.parameter);
    gradients.push_back(slot.parameter.grad());
    first.push_back(slot.first_moment);
    second.push_back(slot.second_moment);
  }
  if (parameters.empty()) return;
  // The kernel reads each parameter's step from a tensor beside it.
  const auto step_tensor = torch::full({}, static_cast<double>(step),
                                       parameters[0].options().dtype(torch::kFloat32).requires_grad(false));
  steps.assign(parameters.size(), step_tensor);
  at::_fused_adamw_(parameters, gradients, first, second, {}, steps, learning_rate, config_.beta1,
                    config_.beta2, matrices ? config_.weight_decay : 0.0, config_.epsilon, /*amsgrad=*/false,
                    /*maximize=*/false, /*grad_scale=*/{},
                    /*found_inf=*/skip.defined() ? std::optional(skip) : std::nullopt);
}

}  // namespace attnlab
