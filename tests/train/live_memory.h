// How much memory torch's CPU tensors take, counted by an allocator around torch's own.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>

namespace attnlab::test {

class CountingAllocator : public c10::Allocator {
 public:
  // Installed at the first call; from then on all tensors of this program are counted.
  static CountingAllocator& instance() {
    static auto* const allocator = [] {
      auto* made = new CountingAllocator(c10::GetCPUAllocator());
      c10::SetCPUAllocator(made, /*priority=*/100);
      return made;
    }();
    return *allocator;
  }

  c10::DataPtr allocate(size_t bytes) override {
    auto* block = new Block{inner_->allocate(bytes), bytes, this};
    live_ += static_cast<int64_t>(bytes);
    peak_ = std::max<int64_t>(peak_, live_);
    return {block->data.get(), block, &release, block->data.device()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  // Bytes that `action` holds at once at most, beyond what was there before.
  template <class Action>
  int64_t peak_of(const Action& action) {
    const int64_t before = live_;
    peak_ = before;
    action();
    return peak_ - before;
  }

 private:
  struct Block {
    c10::DataPtr data;
    size_t bytes;
    CountingAllocator* owner;
  };
  explicit CountingAllocator(c10::Allocator* inner) : inner_(inner) {}
  static void release(void* context) {
    auto* block = static_cast<Block*>(context);
    block->owner->live_ -= static_cast<int64_t>(block->bytes);
    delete block;
  }

  c10::Allocator* inner_;
  std::atomic<int64_t> live_{0}, peak_{0};
};

}  // namespace attnlab::test
