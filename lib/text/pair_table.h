// Merges by the pair of tokens that they join: open addressing in one array, as encoding looks up a pair for
// each character and most pairs are not there.
#pragma once

#include <cstdint>
#include <vector>

namespace attnlab::text {

struct Merge {
  int32_t rank = 0;  // the lowest is merged first, the leftmost of equals
  int32_t id = 0;    // of the concatenation
};

class PairTable {
 public:
  // Null if the pair is not there. Valid until the next call of set. Ids are >= 0.
  const Merge* find(int32_t left, int32_t right) const {
    for (size_t i = home(key_of(left, right));; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key_of(left, right)) return &slots_[i].merge;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

  // Adds the pair or changes its merge.
  void set(int32_t left, int32_t right, Merge merge) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slot_for(key_of(left, right));
    size_ += slot.key == kEmpty;
    slot = {key_of(left, right), merge};
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  // The upper bits of a product with 2⁶⁴ / φ depend on all bits of the key (Knuth, volume 3, section 6.4).
  size_t home(uint64_t key) const { return static_cast<size_t>(key * 0x9E3779B97F4A7C15u >> shift_); }
  Slot& slot_for(uint64_t key) {
    size_t i = home(key);
    while (slots_[i].key != key && slots_[i].key != kEmpty) i = (i + 1) & (slots_.size() - 1);
    return slots_[i];
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    --shift_;
    for (const Slot& slot : old)
      if (slot.key != kEmpty) slot_for(slot.key) = slot;
  }

  int shift_ = 60;  // 64 − log2 of the number of slots
  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t size_ = 0;
};

}  // namespace attnlab::text
