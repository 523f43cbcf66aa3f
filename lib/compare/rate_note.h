// What a run's file says of how its learning rate was chosen.
#pragma once

#include <string>

#include "core/fields.h"

namespace attnlab {

// What a run's config (/config of its file) says of how its rate was chosen: "3e-4, chosen from …"; empty: not.
std::string rate_sentence(const FlatFields& config);
// "the highest", "the lowest" or nothing: where in the sweep the rate of such a config lies.
std::string edge_of_sweep(const FlatFields& config);

}  // namespace attnlab
