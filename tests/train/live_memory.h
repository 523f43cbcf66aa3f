// How much memory torch's CPU tensors take, counted by an allocator around torch's own.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>

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

  // Kernels that allocate raw memory (attention without gradients in bfloat16) want the data as context.
  c10::DataPtr allocate(size_t bytes) override {
    auto data = inner_->allocate(bytes);
    if (!data) return data;
    live_ += static_cast<int64_t>(bytes);
    peak_ = std::max<int64_t>(peak_, live_);
    void* const place = data.get();
    const auto device = data.device();
    const std::lock_guard lock(mutex_);
    blocks_.emplace(place, Block{std::move(data), bytes});
    return {place, place, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
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
  };
  explicit CountingAllocator(c10::Allocator* inner) : inner_(inner) {}
  static void release(void* place) {
    CountingAllocator& self = instance();
    const std::lock_guard lock(self.mutex_);
    const auto found = self.blocks_.find(place);
    self.live_ -= static_cast<int64_t>(found->second.bytes);
    self.blocks_.erase(found);
  }

  c10::Allocator* inner_;
  std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;
  std::atomic<int64_t> live_{0}, peak_{0};
};

}  // namespace attnlab::test
