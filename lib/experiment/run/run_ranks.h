// Which ranks made which steps of a run, in its file.
#pragma once

#include <string>
#include <vector>

#include "core/fields.h"

namespace attnlab {

// The provenance "ranks" is "from step 1: 4 (2 on node1, 2 on node2); from step 201: 1 (1 on node3)". Adds that
// ranks on these hosts go on at `step`; what was said of later steps, which are made anew, goes. Nothing is
// said of a run that one process alone made, and nothing twice. `hosts` empty: one process.
// `tells_ranks`: whether it says anything.
bool tells_ranks(const FlatFields& provenance, const std::vector<std::string>& hosts);
void add_ranks(FlatFields& provenance, int64_t step, const std::vector<std::string>& hosts);

}  // namespace attnlab
