#include "attention/cache.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

int64_t aligned_up(int64_t tokens) {
  return (tokens + LayerCache::kAlignment - 1) / LayerCache::kAlignment * LayerCache::kAlignment;
}

// A quarter more than the window: the kept tokens are moved to the front once in so many steps.
int64_t capacity_with(int64_t window, int64_t capacity) {
  return window > 0 ? std::min(capacity, window + window / 4 + 64) : capacity;
}

}  // namespace

LayerCache::LayerCache(const std::vector<CacheSlot>& layout, int64_t B, int64_t capacity,
                       torch::TensorOptions options, int64_t window)
    : window_(window), lengths_(layout.size(), 0), shown_(layout.size(), 0) {
  capacity = capacity_with(window, capacity);
  for (const auto& slot : layout)
    slots_.push_back(torch::zeros({B, aligned_up(capacity), slot.width}, options));
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
    tokens = torch::zeros({tokens.size(0), aligned_up(kept + T), tokens.size(2)}, tokens.options());
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
  shown_[slot] = seen + T;
  return tokens.narrow(1, length - T - seen, seen + T);
}

torch::Tensor LayerCache::aligned(size_t slot) const {
  const auto& tokens = slots_.at(slot);
  const int64_t begin = lengths_[slot] - shown_[slot];
  return tokens.narrow(1, begin, std::min(aligned_up(shown_[slot]), tokens.size(1) - begin));
}

LayerCache LayerCache::joined(const LayerCache& first, const LayerCache& second, int64_t length,
                              int64_t capacity) {
  ATTNLAB_CHECK(first.window_ == second.window_ && first.slots_.size() == second.slots_.size());
  if (first.window_ > 0) length = std::min(length, std::max(first.length(), second.length()));
  LayerCache out;
  out.window_ = first.window_;
  out.lengths_.assign(first.slots_.size(), length);
  out.shown_ = out.lengths_;
  const int64_t room = aligned_up(std::max(length, capacity_with(out.window_, capacity)));
  for (size_t slot = 0; slot < first.slots_.size(); ++slot) {
    const int64_t rows = first.slots_[slot].size(0);
    auto tokens = torch::zeros({rows + second.slots_[slot].size(0), room, first.slots_[slot].size(2)},
                               first.slots_[slot].options());
    int64_t row = 0;
    for (const LayerCache* cache : {&first, &second}) {
      const auto& from = cache->slots_[slot];
      const int64_t kept = std::min(length, cache->lengths_[slot]);
      tokens.narrow(0, row, from.size(0))
          .narrow(1, length - kept, kept)
          .copy_(from.narrow(1, cache->lengths_[slot] - kept, kept));
      row += from.size(0);
    }
    out.slots_.push_back(tokens);
  }
  return out;
}

void LayerCache::rewind(int64_t length) {
  ATTNLAB_CHECK(window_ == 0 && length >= 0);
  for (auto& kept : lengths_) {
    ATTNLAB_CHECK(length <= kept);
    kept = length;
  }
  shown_ = lengths_;
}

void LayerCache::select_rows(const torch::Tensor& rows) {
  for (auto& tokens : slots_) tokens = tokens.index_select(0, rows);
}

}  // namespace attnlab
