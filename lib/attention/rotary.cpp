#include "attention/rotary.h"

#include <cmath>
#include <numbers>

#include "core/errors.h"
#include "kernels/fused.h"

namespace attnlab {
namespace {

torch::Tensor divided(const torch::Tensor& frequencies_h, const std::vector<double>& factors) {
  ATTNLAB_CHECK(static_cast<int64_t>(factors.size()) == frequencies_h.numel());
  return frequencies_h / torch::tensor(factors, torch::kFloat32);
}

// float32 throughout, as the models were trained: at position 10⁵ a frequency's rounding is visible.
torch::Tensor llama3_frequencies(const torch::Tensor& frequencies_h, const RopeScaling& s) {
  const auto original = static_cast<double>(s.original_positions);
  const auto wavelengths = 2 * std::numbers::pi / frequencies_h;
  const auto blend = (original / wavelengths - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  const auto between = (1 - blend) * frequencies_h / s.factor + blend * frequencies_h;
  const auto stretched =
      torch::where(wavelengths > original / s.low_freq_factor, frequencies_h / s.factor, between);
  return torch::where(wavelengths < original / s.high_freq_factor, frequencies_h, stretched);
}

double longrope_table_factor(const RopeScaling& s) {
  if (s.attention_factor) return *s.attention_factor;
  if (s.factor <= 1) return 1;
  return std::sqrt(1 + std::log(s.factor) / std::log(static_cast<double>(s.original_positions)));
}

}  // namespace

Rotary::Rotary(int64_t rotary_dim, double theta, const std::optional<RopeScaling>& scaling) {
  const auto exponents = torch::arange(0, rotary_dim, 2, torch::kFloat32) / static_cast<double>(rotary_dim);
  frequencies_h_ = torch::pow(theta, exponents).reciprocal();
  if (!scaling) return;
  switch (scaling->type) {
    case RopeType::linear:
      frequencies_h_ = frequencies_h_ / scaling->factor;
      return;
    case RopeType::llama3:
      frequencies_h_ = llama3_frequencies(frequencies_h_, *scaling);
      return;
    case RopeType::longrope:
      long_frequencies_h_ = divided(frequencies_h_, scaling->long_factors);
      frequencies_h_ = divided(frequencies_h_, scaling->short_factors);
      table_factor_ = longrope_table_factor(*scaling);
      switch_length_ = scaling->original_positions;
      return;
  }
}

RotaryTables Rotary::tables(const torch::Tensor& positions_BT, const torch::Tensor& lengths,
                            torch::ScalarType dtype) const {
  const auto device = positions_BT.device();
  for (auto* kept : {&frequencies_h_, &long_frequencies_h_})
    if (kept->defined()) *kept = kept->to(device);
  auto frequencies = frequencies_h_;
  if (switch_length_ > 0 && lengths.defined()) {
    const auto lengths_BT1 = lengths.view({lengths.size(0), -1, 1});
    frequencies = torch::where(lengths_BT1 > switch_length_, long_frequencies_h_, frequencies);
  }
  const auto angles = positions_BT.to(torch::kFloat32).unsqueeze(-1) * frequencies;
  const auto both = torch::cat({angles, angles}, -1);
  auto cos = both.cos(), sin = both.sin();
  if (table_factor_ != 1) cos = cos * table_factor_, sin = sin * table_factor_;
  return {cos.to(dtype), sin.to(dtype)};
}

RotaryTables rotary_tables(const torch::Tensor& positions_BT, int64_t rotary_dim, double theta,
                           torch::ScalarType dtype) {
  return Rotary(rotary_dim, theta, std::nullopt).tables(positions_BT, {}, dtype);
}

namespace {

// (x1 cos - x2 sin, x2 cos + x1 sin), in the type of x: under autocast float32 tables promote the product, and
// keys must not become wider than queries' projections.
std::vector<torch::Tensor> turn(const torch::Tensor& x1, const torch::Tensor& x2, const torch::Tensor& cos_BTH,
                                const torch::Tensor& sin_BTH) {
  const int64_t half = x1.size(-1);
  const auto cos = cos_BTH.narrow(-1, 0, half).unsqueeze(1), sin = sin_BTH.narrow(-1, 0, half).unsqueeze(1);
  const auto dtype = x1.scalar_type();
  return {torch::addcmul(x1 * cos, x2, sin, -1).to(dtype), torch::addcmul(x2 * cos, x1, sin).to(dtype)};
}

}  // namespace

torch::Tensor apply_rotary(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                           const torch::Tensor& sin_BTH) {
  if (has_kernels(x_BNTH)) return rotate_heads(x_BNTH, cos_BTH, sin_BTH, RotaryPairs::halves);
  const int64_t turned = cos_BTH.size(-1), half = turned / 2, passed = x_BNTH.size(-1) - turned;
  auto parts = turn(x_BNTH.narrow(-1, 0, half), x_BNTH.narrow(-1, half, half), cos_BTH, sin_BTH);
  if (passed > 0) parts.push_back(x_BNTH.narrow(-1, turned, passed));
  return torch::cat(parts, -1);
}

torch::Tensor apply_rotary_to_pairs(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                                    const torch::Tensor& sin_BTH) {
  if (has_kernels(x_BNTH)) return rotate_heads(x_BNTH, cos_BTH, sin_BTH, RotaryPairs::neighbours);
  const auto pairs = x_BNTH.unflatten(-1, {x_BNTH.size(-1) / 2, 2});
  return torch::cat(turn(pairs.select(-1, 0), pairs.select(-1, 1), cos_BTH, sin_BTH), -1);
}

torch::Tensor pairs_to_halves(const torch::Tensor& x) {
  return x.unflatten(-1, {x.size(-1) / 2, 2}).transpose(-1, -2).flatten(-2);
}

}  // namespace attnlab
