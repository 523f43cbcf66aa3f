// Plots of their own. Each tells one story and returns false if the drawn numbers do not come out whole, grow
// too large, or leave another number of steps than story.target.
#pragma once

#include <string>
#include <vector>

#include "data/story.h"

namespace attnlab {

using Plot = bool (*)(Story&);
const std::vector<Plot>& money_plots();
const std::vector<Plot>& everyday_plots();

}  // namespace attnlab
