// How a warp takes steps of a packed matrix. Without CUDA, so that a CPU can walk it.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

constexpr int kMostPackedFactors = 4;  // matrices of one input in one launch

template <int bits>
struct Words {
  static constexpr int own = bits == 3 ? 8 : 32 / bits;  // inputs of a thread in one step
  static constexpr int step = 4 * own;                   // inputs of a warp in one step
  static constexpr int accesses = bits == 3 ? 2 : 1;
  static constexpr int rows = step * bits / 32;  // of words
  static constexpr uint32_t mask = (1u << bits) - 1, masks = mask << 16 | mask;
};

// Whether a warp's step lies in one group. group: 0 where inputs have groups anywhere.
template <int bits>
constexpr bool groups_fill_steps(int in, int group) {
  return group > 0 && (group % Words<bits>::step == 0 || group >= in);
}

struct alignas(16) Four {
  uint32_t word[4];
};

}  // namespace attnlab::cuda
