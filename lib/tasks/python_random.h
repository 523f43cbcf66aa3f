// Python's random.Random, as far as lm_eval's choice of worked examples needs it: the same seed picks the same.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace attnlab {

class PythonRandom {
 public:
  // random.Random(seed): the Mersenne Twister MT19937 (Matsumoto, Nishimura 1998), initialised by the array of
  // the seed's 32-bit words.
  explicit PythonRandom(uint32_t seed);

  // random.sample(range(n), k) of CPython 3: k different indices below n, in the order drawn. 0 <= k <= n.
  std::vector<int64_t> sample(int64_t n, int64_t k);

 private:
  static constexpr size_t kWords = 624;
  uint32_t next_word();
  void refill();
  // Uniform in [0, n): as many bits as n has, drawn again until they fit. 0 < n < 2³².
  int64_t below(int64_t n);

  std::array<uint32_t, kWords> state_{};
  size_t used_ = kWords;
};

}  // namespace attnlab
