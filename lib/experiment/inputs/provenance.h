// Where a run's numbers come from.
#pragma once

#include "core/fields.h"
#include "experiment/inputs/inputs.h"
#include "tensor/torch.h"

namespace attnlab {

// Revision, compiler and library versions, hardware, threads, start time (UTC), hashes of data and weights.
FlatFields provenance_of(const Base& base, const Data& data, torch::Device device);

// Those of them that do not depend on a model or data.
FlatFields machine_facts(torch::Device device);

// The threads that a run was started with: the same number makes the same sums in the same order.
int64_t threads_in(const FlatFields& provenance);

// The device that is meant. Throws InputError (key: device) if it is not there.
torch::Device find_device(DeviceChoice choice);

}  // namespace attnlab
