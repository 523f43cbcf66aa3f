// Sizes of an experiment: the same claim at another scale.
#pragma once

#include <string>
#include <vector>

#include "config/node.h"
#include "experiment/plan/settings.h"

namespace attnlab {

// `sizes` maps names to maps of dotted keys and what they are at that size, `size` names one of them. Sets its
// keys in the tree and returns them; without `size` the tree stays as it is. The two keys are gone afterwards.
// Throws InputError for an unknown size, and for a key that is not one of `top_keys` or below one.
std::vector<Setting> apply_size(Node& root, const std::vector<std::string>& top_keys);

}  // namespace attnlab
