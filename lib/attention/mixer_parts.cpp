#include "attention/mixer_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "attention/attention.h"
#include "attention/rotary.h"
#include "core/random.h"

namespace attnlab {

std::optional<BadInput> state_base_problem(const AttentionShape& shape, bool carries_norms) {
  if (auto mla = mla_base_problem(shape)) return mla;
  const auto bad = [](std::string found, const char* expected) {
    return BadInput{.key = "variant", .found = std::move(found), .expected = expected};
  };
  if (shape.window > 0)
    return bad(fmt::format("a base whose layer {} sees {} tokens", shape.layer, shape.window),
               "layers without a window: a state has no tokens that could leave it");
  if (shape.score.softcap > 0)
    return bad(fmt::format("a base that caps scores at {}", shape.score.softcap),
               "a base without: there is no score to cap");
  if (shape.qk_norm && !carries_norms)
    return bad("a base with norms of query and key heads",
               "a base without: linear_attention, gated_linear and mamba2 keep them");
  return std::nullopt;
}

torch::Tensor mamba_step(const torch::Tensor& dt_N, const torch::Tensor& bias_N) {
  return torch::softplus(in_full(dt_N) + bias_N.to(in_full(dt_N).dtype()));
}

torch::Tensor mamba_log_decay(const torch::Tensor& dt_N, const torch::Tensor& bias_N,
                              const torch::Tensor& A_log_N) {
  const auto step = mamba_step(dt_N, bias_N);
  return -step * A_log_N.to(step.dtype()).exp();
}

torch::Tensor turned_bare(const torch::Tensor& x_BNTH, const MixerInput& input, double rotary_factor) {
  const auto& [cos, sin] = input.sequence->new_rotary(input.rotary);
  if (rotary_factor == 1) return apply_rotary(x_BNTH, cos, sin);
  return apply_rotary(x_BNTH, cos / rotary_factor, sin / rotary_factor);
}

void take_up_rotary_factor(const AttentionShape& shape, TensorMap& tensors) {
  if (shape.rotary_factor == 1) return;
  auto factor_H = torch::ones({shape.head_dim}, tensors.at("q_proj.weight").options());
  factor_H.narrow(0, 0, turning_width(shape)).fill_(shape.rotary_factor * shape.rotary_factor);
  if (tensors.contains("q_norm.weight")) {
    const double one = shape.norm_plus_one ? 1 : 0;  // the norm multiplies by 1 + weight
    tensors["q_norm.weight"] = (tensors["q_norm.weight"] + one) * factor_H - one;
    return;
  }
  const auto factor_NH = factor_H.repeat({shape.n_heads});
  tensors["q_proj.weight"] = tensors["q_proj.weight"] * factor_NH.unsqueeze(1);
  if (tensors.contains("q_proj.bias")) tensors["q_proj.bias"] = tensors["q_proj.bias"] * factor_NH;
}

torch::Tensor start_noise(torch::IntArrayRef sizes, double deviation, const std::string& name, int64_t layer) {
  auto out = torch::empty(sizes, torch::kFloat64);
  Random random(hash_name(name), static_cast<uint64_t>(layer));
  auto* values = out.data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) {  // Box and Muller, one of the two
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    values[i] = deviation * radius * std::cos(2 * std::numbers::pi * random.uniform());
  }
  return out;
}

torch::Tensor inverse_softplus(const torch::Tensor& y) { return y + torch::log(-torch::expm1(-y)); }

int64_t default_lora_rank(const AttentionShape& shape) {
  return std::max<int64_t>(8, std::llround(std::sqrt(static_cast<double>(shape.d_model))));
}

double relative_depth(const AttentionShape& shape) {
  return shape.n_layers > 1 ? static_cast<double>(shape.layer) / static_cast<double>(shape.n_layers - 1) : 0;
}

std::pair<torch::Tensor, torch::Tensor> usual_decays(int64_t n, int64_t layer) {
  Random random(hash_name("decays"), static_cast<uint64_t>(layer));
  std::vector<double> A_log, step;
  for (int64_t i = 0; i < n; ++i) {
    A_log.push_back(std::log(1 + 15 * random.uniform()));
    step.push_back(std::exp(std::log(0.001) + random.uniform() * std::log(100.0)));
  }
  return {torch::tensor(A_log, torch::kFloat64), inverse_softplus(torch::tensor(step, torch::kFloat64))};
}

}  // namespace attnlab
