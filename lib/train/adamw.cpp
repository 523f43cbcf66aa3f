#include "train/adamw.h"

#include "train/buckets.h"

namespace attnlab {

AdamW::AdamW(const std::vector<std::pair<std::string, torch::Tensor>>& parameters, const TrainConfig& config)
    : config_(config) {
  for (const auto& [name, parameter] : parameters)
    slots_.push_back({.name = name,
                      .parameter = parameter,
                      .first_moment = torch::zeros_like(parameter).detach(),
                      .second_moment = torch::zeros_like(parameter).detach(),
                      .matrix = parameter.dim() >= 2});
}

const torch::Tensor& AdamW::gradient_of(const Slot& slot) {
  return slot.gradient.defined() ? slot.gradient : slot.parameter.grad();
}

std::vector<torch::Tensor> AdamW::gradients() const {
  std::vector<torch::Tensor> out;
  for (const auto& slot : slots_)
    if (gradient_of(slot).defined()) out.push_back(gradient_of(slot));
  return out;
}

torch::Tensor AdamW::clip_gradients() {
  const auto all = gradients();
  if (all.empty()) return torch::zeros({});
  const auto norm = torch::stack(at::_foreach_norm(all, 2, sum_type(all[0]))).norm();
  clip_to(norm);
  return norm;
}

void AdamW::clip_to(const torch::Tensor& norm) {
  if (config_.clip_norm <= 0) return;
  if (norm.is_cuda())
    clip_divisor_ = (norm / config_.clip_norm).clamp_min(1.0);
  else if (const auto all = gradients(); !all.empty())
    at::_foreach_mul_(all, (config_.clip_norm / norm.clamp_min(1e-12)).clamp_max(1.0));
}

void AdamW::set_step(int64_t step, double learning_rate) {
  rate_ = learning_rate;
  if (slots_.empty()) return;
  const torch::Device device = slots_[0].parameter.device();
  const auto set = [&](torch::Tensor& scalar, double value) {
    if (!scalar.defined()) scalar = torch::empty({}, torch::dtype(torch::kFloat32).device(device));
    scalar.fill_(value);
  };
  set(step_, static_cast<double>(step));
  if (device.is_cuda()) set(rate_on_device_, learning_rate);
}

void AdamW::update(const torch::Tensor& skip) { update_slots(0, slots_.size(), skip); }

void AdamW::update_slots(size_t first, size_t end, const torch::Tensor& skip) {
  const torch::NoGradGuard no_grad;
  const std::span slots(slots_.data() + first, end - first);
  update_group(slots, true, skip);
  update_group(slots, false, skip);
  for (auto& slot : slots) {
    slot.gradient.reset();
    slot.parameter.mutable_grad().reset();
  }
  if (end == slots_.size()) clip_divisor_.reset();
}

void AdamW::update_group(std::span<Slot> slots, bool matrices, const torch::Tensor& skip) {
  std::vector<torch::Tensor> parameters, gradients, first, second;
  for (auto& slot : slots) {
    if (slot.matrix != matrices || !gradient_of(slot).defined()) continue;
    parameters.push_back(slot.parameter);
    gradients.push_back(gradient_of(slot));
    first.push_back(slot.first_moment);
    second.push_back(slot.second_moment);
  }
  if (parameters.empty()) return;
  const auto given = [](const torch::Tensor& scalar) {
    return scalar.defined() ? std::optional(scalar) : std::nullopt;
  };
  // The kernel reads each parameter's step from a tensor beside it.
  const std::vector<torch::Tensor> steps(parameters.size(), step_);
  const auto update = [&](const auto& rate) {
    at::_fused_adamw_(parameters, gradients, first, second, {}, steps, rate, config_.beta1, config_.beta2,
                      matrices ? config_.weight_decay : 0.0, config_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false, /*grad_scale=*/given(clip_divisor_), /*found_inf=*/given(skip));
  };
  if (rate_on_device_.defined())
    update(rate_on_device_);
  else
    update(rate_);
}

}  // namespace attnlab
