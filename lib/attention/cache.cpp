#include "attention/cache.h"

#include "core/errors.h"

namespace attnlab {

LayerCache::LayerCache(const std::vector<CacheSlot>& layout, int64_t B, int64_t capacity,
                       torch::TensorOptions options)
    : lengths_(layout.size(), 0) {
  for (const auto& slot : layout) slots_.push_back(torch::empty({B, capacity, slot.width}, options));
}

torch::Tensor LayerCache::append(size_t slot, const torch::Tensor& x_BTW) {
  auto& tokens = slots_.at(slot);
  auto& length = lengths_.at(slot);
  const int64_t T = x_BTW.size(1);
  ATTNLAB_CHECK(length + T <= tokens.size(1));
  tokens.narrow(1, length, T).copy_(x_BTW);
  length += T;
  return tokens.narrow(1, 0, length);
}

void LayerCache::select_rows(const torch::Tensor& rows) {
  for (auto& tokens : slots_) tokens = tokens.index_select(0, rows);
}

}  // namespace attnlab
