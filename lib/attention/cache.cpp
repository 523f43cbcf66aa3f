#include "attention/cache.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {

LayerCache::LayerCache(const std::vector<CacheSlot>& layout, int64_t B, int64_t capacity,
                       torch::TensorOptions options, int64_t window)
    : window_(window), lengths_(layout.size(), 0) {
  // A quarter more than the window: the kept tokens are moved to the front once in so many steps.
  if (window > 0) capacity = std::min(capacity, window + window / 4 + 64);
  for (const auto& slot : layout) slots_.push_back(torch::empty({B, capacity, slot.width}, options));
}

// Moves what a window still shows to the front, into a larger tensor if T new tokens need one.
void LayerCache::make_room(size_t slot, int64_t T) {
  auto& tokens = slots_[slot];
  auto& length = lengths_[slot];
  if (length + T <= tokens.size(1)) return;
  ATTNLAB_CHECK(window_ > 0);
  const int64_t kept = std::min(length, window_ - 1);
  const auto last = tokens.narrow(1, length - kept, kept).clone();
  if (kept + T > tokens.size(1))
    tokens = torch::empty({tokens.size(0), kept + T, tokens.size(2)}, tokens.options());
  tokens.narrow(1, 0, kept).copy_(last);
  length = kept;
}

torch::Tensor LayerCache::append(size_t slot, const torch::Tensor& x_BTW) {
  const int64_t T = x_BTW.size(1);
  make_room(slot, T);
  auto& tokens = slots_.at(slot);
  auto& length = lengths_.at(slot);
  tokens.narrow(1, length, T).copy_(x_BTW);
  const int64_t seen = window_ > 0 ? std::min(length, window_ - 1) : length;
  length += T;
  return tokens.narrow(1, length - T - seen, seen + T);
}

void LayerCache::select_rows(const torch::Tensor& rows) {
  for (auto& tokens : slots_) tokens = tokens.index_select(0, rows);
}

}  // namespace attnlab
