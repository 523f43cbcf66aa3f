// A vector register of float32 numbers, in the compilers' own vector types.
#pragma once

#include <stdint.h>

namespace attnlab::vectors::ATTNLAB_VECTORS {
namespace {

constexpr int64_t kLanes = ATTNLAB_LANES;
typedef float Wide __attribute__((vector_size(4 * ATTNLAB_LANES)));
typedef int32_t WideInt __attribute__((vector_size(4 * ATTNLAB_LANES)));
typedef float Unaligned __attribute__((vector_size(4 * ATTNLAB_LANES), aligned(4), may_alias));

inline Wide load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Wide x) { *reinterpret_cast<Unaligned*>(to) = x; }
inline Wide all(float value) { return Wide{} + value; }
inline Wide greater_of(Wide a, Wide b) { return a > b ? a : b; }

// The n < kLanes last numbers of a row, `behind` them.
inline Wide load_last(const float* from, int64_t n, float behind) {
  float lanes[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) lanes[l] = l < n ? from[l] : behind;
  return load(lanes);
}
inline void store_last(float* to, int64_t n, Wide x) {
  float lanes[kLanes];
  store(lanes, x);
  for (int64_t l = 0; l < n; ++l) to[l] = lanes[l];
}

inline float sum_of(Wide x) {
  float lanes[kLanes], sum = 0;
  store(lanes, x);
  for (int64_t l = 0; l < kLanes; ++l) sum += lanes[l];
  return sum;
}
inline float greatest_of(Wide x) {
  float lanes[kLanes];
  store(lanes, x);
  float most = lanes[0];
  for (int64_t l = 1; l < kLanes; ++l) most = lanes[l] > most ? lanes[l] : most;
  return most;
}

// e^x to about 1e-7 of itself for x up to 88, 0 below -87. With x = n ln 2 + r, |r| ≤ ln 2 / 2: 2^n e^r, of
// which the latter is a polynomial (Moshier's Cephes, expf).
inline Wide exp_of(Wide x_in) {
  constexpr float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  constexpr float to_whole = 12582912.f;  // 1.5 · 2²³: what is added to it is rounded to a whole number
  const Wide least = all(-87);
  const WideInt vanishes = x_in < least;
  const Wide x = vanishes ? least : x_in;
  const Wide shifted = x * log2e + to_whole, n = shifted - to_whole;
  const Wide r = x - n * ln2_high - n * ln2_low;
  Wide y = r * 1.9875691500e-4f + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.f;
  const WideInt power = reinterpret_cast<WideInt>(shifted) << 23;
  const Wide result = reinterpret_cast<Wide>(reinterpret_cast<WideInt>(y) + power);
  return vanishes ? Wide{} : result;
}

}  // namespace
}  // namespace attnlab::vectors::ATTNLAB_VECTORS
