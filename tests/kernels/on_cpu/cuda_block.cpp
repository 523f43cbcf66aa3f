#include "cuda_block.h"

namespace attnlab::test {

CpuBlock::CpuBlock(unsigned threads)
    : contexts_(threads),
      stacks_(threads, std::vector<char>(1 << 16)),
      passed_{std::vector<float>(threads), std::vector<float>(threads)},
      points_(threads),
      ended_(threads) {}

void CpuBlock::enter() {
  (*current_->kernel_)();
  current_->ended_[threadIdx.x] = true;
  setcontext(&current_->main_);
}

void CpuBlock::run_threads() {
  const auto threads = static_cast<unsigned>(contexts_.size());
  for (unsigned t = 0; t < threads; ++t) {
    getcontext(&contexts_[t]);
    contexts_[t].uc_stack.ss_sp = stacks_[t].data();
    contexts_[t].uc_stack.ss_size = stacks_[t].size();
    makecontext(&contexts_[t], &CpuBlock::enter, 0);
    points_[t] = 0;
    ended_[t] = false;
  }
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (unsigned t = 0; t < threads; ++t) {
      if (ended_[t]) continue;
      threadIdx.x = t;
      swapcontext(&main_, &contexts_[t]);
      goes_on = true;
    }
  }
}

void CpuBlock::run(BlockIndex blocks, unsigned threads, const std::function<void()>& kernel) {
  CpuBlock block(threads);
  current_ = &block;
  block.kernel_ = &kernel;
  blockDim = {threads, 1};
  for (blockIdx.y = 0; blockIdx.y < blocks.y; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < blocks.x; ++blockIdx.x) block.run_threads();
  blockIdx = {};
  current_ = nullptr;
}

void CpuBlock::wait() { swapcontext(&current_->contexts_[threadIdx.x], &current_->main_); }

// Two places take turns: before a thread passes its next number but one, all have read this one.
float CpuBlock::exchange(float mine, unsigned from) {
  auto& passed = current_->passed_[current_->points_[threadIdx.x]++ % 2];
  passed[threadIdx.x] = mine;
  wait();
  return passed[from];
}

}  // namespace attnlab::test
