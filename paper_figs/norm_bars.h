// Panels with a bar per dimension: the norms of keys and values, as means over layers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "panels.h"
#include "results/measurements.h"

namespace attnlab {

// Dimension → norm.
using Norms = std::map<int64_t, double>;

// The mean over layers of the rows of that part, stage and freqfold.
Norms mean_over_layers(const std::vector<NormRow>& rows, const std::string& part, const std::string& stage,
                       int64_t freqfold = 0);
size_t count_layers(const std::vector<NormRow>& rows);

// Colours that grey tells apart.
enum class Shade { dark, light };
KeyEntry bar_key(const std::string& name, Shade shade);

// Adds the bars of norms at x = dimension + shift to the panel, and widens its axes. `block` names the data:
// unique in the drawing.
void add_bars(Panel& panel, const std::string& block, const Norms& norms, Shade shade, double shift = 0);

}  // namespace attnlab
