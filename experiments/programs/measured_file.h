// What the programs that measure without training share: the file that they write.
#pragma once

#include <string>

#include "program.h"
#include "results/measurements.h"
#include "tensor/torch.h"

namespace attnlab {

// Throws InputError unless `out` is the name of a file of measurements, in a folder that is there or can be
// made.
void require_measured_name(const std::string& out);

// Of programs that print rows and may keep them, too: adds --out and --resume.
void add_rows_options(Program& program, std::string& out, bool& resume);
// Throws InputError unless `out`, where it is given, is such a name, and it is given with --resume.
void require_rows_options(const std::string& out, bool resume);

// Command line, revision, versions, hardware, start time (UTC).
FlatFields measured_facts(int argc, char** argv, torch::Device device);

}  // namespace attnlab
