// Caches whose rows have places of their own: row b's tokens stand in its columns 0, 1, …, rows grow each by
// themselves, and a new sequence begins where another one ended. Nothing is moved as rows come and go, and in a
// step no size and no address depends on the lengths: steps can be recorded (kernels/recorded.h).
#pragma once

#include <memory>

#include "state/storage.h"

namespace attnlab {

// Where the tokens of a pass stand, for the storages of all layers. One of two:
struct RowCursor {
  // one new token at the end of each row, in place `flat_B` = row · capacity + column of the memory, and the
  // first `shown` columns are looked at;
  torch::Tensor flat_B;
  int64_t shown = 0;
  // or, with `rows_E` defined, T tokens of these rows from column `begin` on, which look at all before. If the
  // pass has one sequence and this names more rows, it is the beginning that they share.
  torch::Tensor rows_E;
  int64_t begin = 0;
};

// The numbers as they are, [B, capacity, W], windows included. Tokens are never dropped.
StoragePlan row_storage(std::shared_ptr<const RowCursor> cursor);

}  // namespace attnlab
