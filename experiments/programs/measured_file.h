// What the programs that measure without training share: the file that they write.
#pragma once

#include <string>

#include "results/measurements.h"
#include "tensor/torch.h"

namespace attnlab {

// Throws InputError unless `out` is the name of a file of measurements, in a folder that is there or can be
// made.
void require_measured_name(const std::string& out);

// Command line, revision, versions, hardware, start time (UTC).
FlatFields measured_facts(int argc, char** argv, torch::Device device);

}  // namespace attnlab
