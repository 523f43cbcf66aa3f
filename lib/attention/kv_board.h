// Keys and values that a layer of a pass leaves for those behind it.
#pragma once

#include <cstdint>

#include "state/sequence.h"
#include "tensor/torch.h"

namespace attnlab {

// What the last layer that left something left. Lives as long as the pass.
struct KvBoard {
  int64_t layer = -1;
  // What the queries of this pass may look at, [B, G, S, H], keys turned; and where each may.
  torch::Tensor k_BGSH, v_BGSH, mask_B1TS;
  RotaryTables new_tables;  // by what its queries turn
};

}  // namespace attnlab
