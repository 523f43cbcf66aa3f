// Rotary position (arXiv 2104.09864) and its scalings, from the equations.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "reference/decoder_twin.h"

namespace attnlab::reference {
namespace {

// LLaMA 3.1: wavelengths λ up to original / high stay, those from original / low on are stretched, and between
// the two the share s = (original / λ - low) / (high - low) stays.
double llama3(const TwinRope& rope, double frequency) {
  const double turns = static_cast<double>(rope.original) * frequency / (2 * std::numbers::pi);  // original / λ
  if (turns > rope.high) return frequency;
  if (turns < rope.low) return frequency / rope.factor;
  const double share = (turns - rope.low) / (rope.high - rope.low);
  return (1 - share) * frequency / rope.factor + share * frequency;
}

// YaRN, arXiv 2309.00071, section 3.2, with the blend over places i that its authors' code and all released
// models use: the place of the frequency that turns r times within the original context solves original
// θ^(-2i/d) / 2π = r. Below the place of `fast` turns frequencies stay, above that of `slow` turns they are
// stretched.
double yarn(const TwinRope& rope, int64_t i, double frequency) {
  const auto place = [&](double turns) {
    const double at = std::log(static_cast<double>(rope.original) / (2 * std::numbers::pi * turns)) /
                      std::log(rope.theta) * static_cast<double>(rope.dim) / 2;
    return at;
  };
  double first = place(rope.fast), last = place(rope.slow);
  if (rope.whole_ends) first = std::floor(first), last = std::ceil(last);
  first = std::fmax(first, 0), last = std::fmin(last, static_cast<double>(rope.dim - 1));
  const double stretched = std::fmin(std::fmax((static_cast<double>(i) - first) / (last - first), 0), 1);
  return (1 - stretched) * frequency + stretched * frequency / rope.factor;
}

// NTK-aware scaling, arXiv 2309.00071, sections 3.1 and 3.3: θ grows so that the slowest frequency is stretched
// by the ratio s of the lengths (here s = factor T / original - factor + 1).
double dynamic(const TwinRope& rope, int64_t i, int64_t T) {
  const double over = static_cast<double>(std::max(T, rope.original)) / static_cast<double>(rope.original);
  const double s = rope.factor * over - rope.factor + 1, d = static_cast<double>(rope.dim);
  return std::pow(rope.theta * std::pow(s, d / (d - 2)), -2 * static_cast<double>(i) / d);
}

double frequency_of(const TwinRope& rope, int64_t i, int64_t T) {
  const double exponent = -2 * static_cast<double>(i) / static_cast<double>(rope.dim);
  const double frequency = std::pow(rope.theta, exponent);
  if (rope.type == "linear") return frequency / rope.factor;
  if (rope.type == "dynamic") return dynamic(rope, i, T);
  if (rope.type == "yarn") return yarn(rope, i, frequency);
  if (rope.type == "llama3") return llama3(rope, frequency);
  if (rope.type == "longrope")
    return frequency / (T > rope.original ? rope.long_factors : rope.short_factors).at(static_cast<size_t>(i));
  return frequency;
}

}  // namespace

TwinAngles twin_angles(const TwinRope& rope, int64_t T) {
  TwinAngles angles;
  for (int64_t t = 0; t < T; ++t)
    for (int64_t i = 0; i < rope.dim / 2; ++i) {
      const double angle = static_cast<double>(t) * frequency_of(rope, i, T) * rope.angle_scale;
      angles.cos.push_back(rope.table_factor * std::cos(angle));
      angles.sin.push_back(rope.table_factor * std::sin(angle));
    }
  return angles;
}

}  // namespace attnlab::reference
