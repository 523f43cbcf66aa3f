// Random numbers that are a pure function of (seed, stream, position): the same on every platform, compiler
// and number of workers. The standard library's distributions promise none of that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

// SplitMix64's output function (Steele, Lea, Flood 2014): a bijection on 64 bits that mixes well.
uint64_t mix64(uint64_t value);

// A small generator. Two with different (seed, stream) give unrelated sequences.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0);
  uint64_t next();
  // Uniform in [low, high], both included.
  int64_t between(int64_t low, int64_t high);
  // Uniform in [0, 1).
  double uniform();
  template <class Container>
  const auto& pick(const Container& items) {
    return items[static_cast<size_t>(between(0, static_cast<int64_t>(items.size()) - 1))];
  }

 private:
  uint64_t state_;
};

// A stable number for a name, to derive a stream from it (FNV-1a, mixed).
uint64_t hash_name(const std::string& name);

// 0 … n-1 in an order that depends on the seed alone (Fisher-Yates).
std::vector<int64_t> permutation(int64_t n, uint64_t seed);

}  // namespace attnlab
