#include "attention/rotary.h"

#include <algorithm>
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

// The frequency that turns so often within the original context, as a place among the d / 2.
double place_of_turns(double turns, double d, double theta, int64_t original) {
  return d * std::log(static_cast<double>(original) / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

// transformers' _compute_yarn_parameters; its bounds of the places, 0 and d - 1, too.
torch::Tensor yarn_frequencies(const torch::Tensor& periods_h, double theta, const RopeScaling& s) {
  const auto d = static_cast<double>(2 * periods_h.numel());
  double first = place_of_turns(s.beta_fast, d, theta, s.original_positions);
  double last = place_of_turns(s.beta_slow, d, theta, s.original_positions);
  if (s.truncate) first = std::floor(first), last = std::ceil(last);
  first = std::max(first, 0.0), last = std::min(last, d - 1);
  if (first == last) last += 0.001;
  const auto places = torch::arange(periods_h.numel(), torch::kFloat32);
  const auto kept = 1 - ((places - first) / (last - first)).clamp(0, 1);
  return (s.factor * periods_h).reciprocal() * (1 - kept) + periods_h.reciprocal() * kept;
}

torch::Tensor every(const torch::Tensor& x_h, int64_t step) {
  return x_h.defined() && step > 1 ? x_h.slice(0, std::nullopt, std::nullopt, step).contiguous() : x_h;
}

}  // namespace

Rotary::Rotary(int64_t rotary_dim, double theta, const std::optional<RopeScaling>& scaling, int64_t of_dim) {
  const int64_t step = of_dim > 0 && of_dim % rotary_dim == 0 ? of_dim / rotary_dim : 1, d = step * rotary_dim;
  const auto exponents = torch::arange(0, d, 2, torch::kFloat32) / static_cast<double>(d);
  const auto periods_h = torch::pow(theta, exponents);
  frequencies_h_ = periods_h.reciprocal();
  if (scaling) {
    table_factor_ = scaling->table_factor();
    switch (scaling->type) {
      case RopeType::linear:
        frequencies_h_ = frequencies_h_ / scaling->factor;
        break;
      case RopeType::dynamic:
        exponents_h_ = exponents;
        switch_length_ = scaling->original_positions;
        theta_ = theta;
        growth_ = scaling->factor;
        power_ = static_cast<double>(d) / static_cast<double>(d - 2);
        break;
      case RopeType::llama3:
        frequencies_h_ = llama3_frequencies(frequencies_h_, *scaling);
        break;
      case RopeType::yarn:
        frequencies_h_ = yarn_frequencies(periods_h, theta, *scaling);
        break;
      case RopeType::longrope:
        long_frequencies_h_ = divided(frequencies_h_, scaling->long_factors);
        frequencies_h_ = divided(frequencies_h_, scaling->short_factors);
        switch_length_ = scaling->original_positions;
        break;
    }
  }
  for (auto* kept : {&frequencies_h_, &long_frequencies_h_, &exponents_h_}) *kept = every(*kept, step);
}

int64_t Rotary::frequencies_of(int64_t length) const {
  if (switch_length_ == 0 || length <= switch_length_) return 0;
  return exponents_h_.defined() ? length - switch_length_ : 1;
}

torch::Tensor Rotary::long_frequencies(const torch::Tensor& lengths_BT1) const {
  if (!exponents_h_.defined()) return long_frequencies_h_;
  const auto lengths = lengths_BT1.to(torch::kFloat32).clamp_min(static_cast<double>(switch_length_));
  const auto grown = growth_ * lengths / static_cast<double>(switch_length_) - (growth_ - 1);
  return torch::pow(theta_ * torch::pow(grown, power_), exponents_h_).reciprocal();
}

RotaryTables Rotary::tables(const torch::Tensor& positions_BT, const torch::Tensor& lengths,
                            torch::ScalarType dtype) const {
  const auto device = positions_BT.device();
  for (auto* kept : {&frequencies_h_, &long_frequencies_h_, &exponents_h_})
    if (kept->defined()) *kept = kept->to(device);
  auto frequencies = frequencies_h_;
  if (switch_length_ > 0 && lengths.defined()) {
    const auto lengths_BT1 = lengths.view({lengths.size(0), -1, 1});
    frequencies = torch::where(lengths_BT1 > switch_length_, long_frequencies(lengths_BT1), frequencies);
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
  if (fits_rotate_heads(x_BNTH, cos_BTH)) return rotate_heads(x_BNTH, cos_BTH, sin_BTH, RotaryPairs::halves);
  const int64_t turned = cos_BTH.size(-1), half = turned / 2, passed = x_BNTH.size(-1) - turned;
  auto parts = turn(x_BNTH.narrow(-1, 0, half), x_BNTH.narrow(-1, half, half), cos_BTH, sin_BTH);
  if (passed > 0) parts.push_back(x_BNTH.narrow(-1, turned, passed));
  return torch::cat(parts, -1);
}

torch::Tensor apply_rotary_to_pairs(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                                    const torch::Tensor& sin_BTH) {
  if (fits_rotate_heads(x_BNTH, cos_BTH))
    return rotate_heads(x_BNTH, cos_BTH, sin_BTH, RotaryPairs::neighbours);
  const auto pairs = x_BNTH.unflatten(-1, {x_BNTH.size(-1) / 2, 2});
  return torch::cat(turn(pairs.select(-1, 0), pairs.select(-1, 1), cos_BTH, sin_BTH), -1);
}

torch::Tensor pairs_to_halves(const torch::Tensor& x) {
  return x.unflatten(-1, {x.size(-1) / 2, 2}).transpose(-1, -2).flatten(-2);
}

}  // namespace attnlab
