// The part of a step that one of several ranks computes.
#pragma once

#include <optional>
#include <vector>

#include "core/errors.h"
#include "data/batch.h"
#include "train/train_config.h"

namespace attnlab {

// Rank `rank`'s of `size`: its micro-batches where their number is a multiple of the ranks', otherwise its rows
// of each. Every row has one rank. Batches keep their columns, so that nothing in a row depends on who computes
// it.
std::vector<Batch> share_of(const std::vector<Batch>& micro_batches, int64_t rank, int64_t size);

// Why a step can't be shared by so many ranks, if so (key below `train`).
std::optional<BadInput> share_problem(const TrainConfig& config, int64_t ranks);

// How many parameters a model has: in all, trained ones, of its largest layer, and around its layers.
struct HeldParameters {
  int64_t all = 0, trained = 0, layer = 0, outer = 0;
};

// Bytes of parameters, gradients and the optimizer's state at each of so many ranks, at their most in a step;
// what backward keeps of the forward pass comes beside them.
int64_t held_bytes(const TrainConfig& config, const HeldParameters& parameters, int64_t ranks);

}  // namespace attnlab
