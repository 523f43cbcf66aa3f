#include "tasks/python_random.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_set>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr size_t kMiddle = 397;

}  // namespace

// init_by_array of the reference implementation, for a key of one word.
PythonRandom::PythonRandom(uint32_t seed) {
  state_[0] = 19650218U;
  for (size_t i = 1; i < kWords; ++i)
    state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  size_t at = 1;
  const auto advance = [&] {
    if (++at < kWords) return;
    state_[0] = state_[kWords - 1];
    at = 1;
  };
  const auto mixed = [&](uint32_t factor) {
    return state_[at] ^ ((state_[at - 1] ^ (state_[at - 1] >> 30)) * factor);
  };
  for (size_t i = 0; i < kWords; ++i, advance()) state_[at] = mixed(1664525U) + seed;
  for (size_t i = 1; i < kWords; ++i, advance()) state_[at] = mixed(1566083941U) - static_cast<uint32_t>(at);
  state_[0] = 0x80000000U;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < kWords; ++i) {
    const uint32_t joined = (state_[i] & 0x80000000U) | (state_[(i + 1) % kWords] & 0x7FFFFFFFU);
    state_[i] = state_[(i + kMiddle) % kWords] ^ (joined >> 1) ^ ((joined & 1U) ? 0x9908B0DFU : 0U);
  }
  used_ = 0;
}

uint32_t PythonRandom::next_word() {
  if (used_ == kWords) refill();
  uint32_t word = state_[used_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9D2C5680U;
  word ^= (word << 15) & 0xEFC60000U;
  return word ^ (word >> 18);
}

int64_t PythonRandom::below(int64_t n) {
  const int bits = std::bit_width(static_cast<uint32_t>(n));
  while (true)
    if (const int64_t drawn = next_word() >> (32 - bits); drawn < n) return drawn;
}

// CPython draws from a shrinking pool where the set of indices already drawn would take more memory.
std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  ATTNLAB_CHECK(0 <= k && k <= n && n < (int64_t{1} << 32));
  int64_t set_size = 21;
  if (k > 5)
    set_size +=
        static_cast<int64_t>(std::pow(4.0, std::ceil(std::log(3.0 * static_cast<double>(k)) / std::log(4.0))));
  std::vector<int64_t> drawn;
  if (n <= set_size) {
    std::vector<int64_t> pool(static_cast<size_t>(n));
    std::iota(pool.begin(), pool.end(), int64_t{0});
    for (int64_t left = n; left > n - k; --left) {
      auto& place = pool[static_cast<size_t>(below(left))];
      drawn.push_back(place);
      place = pool[static_cast<size_t>(left - 1)];
    }
    return drawn;
  }
  std::unordered_set<int64_t> seen;
  while (static_cast<int64_t>(drawn.size()) < k)
    if (const int64_t index = below(n); seen.insert(index).second) drawn.push_back(index);
  return drawn;
}

}  // namespace attnlab
