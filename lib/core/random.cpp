#include "core/random.h"

#include <numeric>

#include "core/errors.h"

namespace attnlab {

uint64_t mix64(uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

Random::Random(uint64_t seed, uint64_t stream)
    : state_(mix64(mix64(seed) ^ (stream * 0xda942042e4dd58b5ULL))) {}

uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  return mix64(state_);
}

// Multiply-shift reduction; the bias is below 2^-32 for the ranges used here.
int64_t Random::between(int64_t low, int64_t high) {
  ATTNLAB_CHECK(low <= high);
  const auto span = static_cast<unsigned __int128>(static_cast<uint64_t>(high - low) + 1);
  return low + static_cast<int64_t>((span * next()) >> 64);
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

uint64_t hash_name(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix64(hash);
}

std::vector<int64_t> permutation(int64_t n, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, hash_name("permutation"));
  for (int64_t i = n - 1; i > 0; --i)
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(random.between(0, i))]);
  return order;
}

}  // namespace attnlab
