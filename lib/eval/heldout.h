// Loss on held-out examples.
#pragma once

#include <vector>

#include "data/batch.h"
#include "model/decoder.h"
#include "model/precision.h"
#include "ranks/world.h"

namespace attnlab {

struct HeldoutLoss {
  double loss = 0;     // mean over the targets, nats per token
  int64_t tokens = 0;  // how many targets those are
};

// The loss of all batches' targets together, whatever the batches' shapes: each target counts once. Without any
// target, 0 of 0 tokens. Leaves no gradients; one host-device sync, at the end. Ranks of `world` share the
// batches, and all get the same bits as one would.
HeldoutLoss heldout_loss(Decoder& decoder, const std::vector<Batch>& batches, Precision precision,
                         World& world = World::alone());

}  // namespace attnlab
