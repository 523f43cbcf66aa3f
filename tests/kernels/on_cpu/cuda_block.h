// The words of CUDA C++ that a kernel's source needs to be compiled for a CPU, where the threads of a block
// take turns: each runs to the next point at which it waits for others.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after the other

struct BlockIndex {
  unsigned x = 0, y = 0;
};
inline BlockIndex threadIdx, blockIdx, blockDim;  // of y blocks alone have one

inline float __uint_as_float(uint32_t bits) {
  float out;
  std::memcpy(&out, &bits, sizeof(out));
  return out;
}

namespace attnlab::cuda {
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
}  // namespace attnlab::cuda

namespace attnlab::test {

// Runs a kernel's threads block by block. All threads of a block wait as often.
class CpuBlock {
 public:
  static void run(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
    run({blocks, 1}, threads, kernel);
  }
  static void run(BlockIndex blocks, unsigned threads, const std::function<void()>& kernel);
  // Until all threads have come here.
  static void wait();
  // What thread `from` of this block passes at the same point.
  static float exchange(float mine, unsigned from);

 private:
  explicit CpuBlock(unsigned threads);
  static void enter();
  void run_threads();

  static inline CpuBlock* current_ = nullptr;
  const std::function<void()>* kernel_ = nullptr;
  ucontext_t main_;
  std::vector<ucontext_t> contexts_;
  std::vector<std::vector<char>> stacks_;
  std::vector<float> passed_[2];
  std::vector<unsigned> points_;  // how often each thread has exchanged
  std::vector<bool> ended_;
};

}  // namespace attnlab::test

inline void __syncthreads() { attnlab::test::CpuBlock::wait(); }
inline float __shfl_xor_sync(unsigned, float x, int apart) {
  return attnlab::test::CpuBlock::exchange(x, threadIdx.x ^ static_cast<unsigned>(apart));
}
