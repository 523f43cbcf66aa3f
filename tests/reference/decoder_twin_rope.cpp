// Rotary position (arXiv 2104.09864) and its scalings, from the equations.
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

double frequency_of(const TwinRope& rope, int64_t i, int64_t T) {
  const double exponent = -2 * static_cast<double>(i) / static_cast<double>(rope.dim);
  const double frequency = std::pow(rope.theta, exponent);
  if (rope.type == "linear") return frequency / rope.factor;
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
