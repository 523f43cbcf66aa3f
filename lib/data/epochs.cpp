#include "data/epochs.h"

#include <algorithm>
#include <utility>

#include "core/errors.h"

namespace attnlab {

Epochs::Epochs(ExampleOrder order, int64_t examples, bool equal, const TokenStore* store, Packing packing,
               int64_t sequence_length)
    : order_(std::move(order)), store_(store), packing_(packing), sequence_length_(sequence_length) {
  if (packing == Packing::none) units_ = examples;
  if (packing == Packing::stream && equal && store) units_ = store->total_tokens();
}

std::shared_ptr<const Epoch> Epochs::holding(int64_t unit) const {
  const std::lock_guard lock(mutex_);
  if (units_ > 0) return made(unit / units_);
  while (firsts_.back() <= unit) {
    const auto epoch = made(static_cast<int64_t>(firsts_.size()) - 1);
    if (epoch->units == 0)
      throw InputError("the training data hold nothing to learn: no example has two tokens");
    firsts_.push_back(epoch->first_unit + epoch->units);
  }
  return made(std::upper_bound(firsts_.begin(), firsts_.end(), unit) - firsts_.begin() - 1);
}

std::shared_ptr<const Epoch> Epochs::made(int64_t number) const {
  auto& slot = cached_[number % 2];
  if (!slot || slot->number != number) slot = make(number);
  return slot;
}

std::shared_ptr<const Epoch> Epochs::make(int64_t number) const {
  auto epoch = std::make_shared<Epoch>();
  epoch->number = number;
  epoch->first_unit = units_ > 0 ? number * units_ : firsts_[static_cast<size_t>(number)];
  epoch->order = order_(number);
  const auto length = [&](int64_t example) { return store_->length(example); };
  switch (packing_) {
    case Packing::none:
      epoch->units = static_cast<int64_t>(epoch->order.size());
      break;
    case Packing::stream:
      for (const int64_t example : epoch->order) {
        epoch->starts.push_back(epoch->units);
        epoch->units += length(example);
      }
      break;
    case Packing::isolated:
      epoch->rows = pack_rows(epoch->order, length, sequence_length_);
      epoch->units = static_cast<int64_t>(epoch->rows.size());
      break;
  }
  return epoch;
}

}  // namespace attnlab
