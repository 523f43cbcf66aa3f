// Plots about money.
#pragma once

#include <vector>

#include "data/story.h"

namespace attnlab {

// Tells one story and returns false if the drawn numbers do not come out whole, grow too large, or leave
// another number of steps than story.target.
using Plot = bool (*)(Story&);
const std::vector<Plot>& money_plots();

}  // namespace attnlab
