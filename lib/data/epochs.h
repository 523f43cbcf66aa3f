// The endless sequence of examples that a run trains on, epoch by epoch.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "data/packing.h"
#include "data/token_store.h"

namespace attnlab {

// The examples of an epoch, in their order. A pure function of the epoch's number, called by one thread at a
// time.
using ExampleOrder = std::function<std::vector<int64_t>(int64_t epoch)>;

// A unit is what rows are counted in: an example (Packing::none), a token (stream) or a row (isolated).
struct Epoch {
  int64_t number = -1, first_unit = 0, units = 0;
  std::vector<int64_t> order;
  std::vector<int64_t> starts;  // stream: the place of each document's first token
  std::vector<PackedRow> rows;  // isolated
};

class Epochs {
 public:
  // `store` (which outlives this) may be null where no packed epoch is asked for. With `equal` epochs have the
  // same examples, hence as many tokens. `examples` is how many an epoch has.
  Epochs(ExampleOrder order, int64_t examples, bool equal, const TokenStore* store, Packing packing,
         int64_t sequence_length);

  // The epoch that holds a unit. May be called from several threads at once. Throws InputError if an epoch
  // holds none.
  std::shared_ptr<const Epoch> holding(int64_t unit) const;

 private:
  std::shared_ptr<const Epoch> made(int64_t number) const;
  std::shared_ptr<const Epoch> make(int64_t number) const;

  ExampleOrder order_;
  int64_t units_ = 0;  // of every epoch; 0: they differ
  const TokenStore* store_;
  Packing packing_;
  int64_t sequence_length_;
  mutable std::mutex mutex_;
  mutable std::vector<int64_t> firsts_{0};          // first unit of the epochs known so far, where they differ
  mutable std::shared_ptr<const Epoch> cached_[2];  // by parity: rows of a batch may lie in two epochs
};

}  // namespace attnlab
