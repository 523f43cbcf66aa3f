// In what the runs that are compared differ, besides their seeds and names.
#pragma once

#include <string>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

// Keys of the resolved configs whose values differ between arms, a line each:
// "train.lr: 0.0001 (gqa, mla_identity), 0.0003 (mla_orthogonal)". Keys that a sweep gives the same values in
// all arms are left out, as are seeds and names.
std::vector<std::string> config_differences(const std::vector<const RunRecord*>& runs);

// The same for the revision of the program and the hardware, from /provenance.
std::vector<std::string> provenance_differences(const std::vector<const RunRecord*>& runs);

// A sentence for each of data and weights whose hash is not the same in both runs; a run without the hash says
// nothing. `arm`, `baseline`: what to call them.
std::vector<std::string> input_differences(const RunHeader& run, const RunHeader& other, const std::string& arm,
                                           const std::string& baseline);

}  // namespace attnlab
