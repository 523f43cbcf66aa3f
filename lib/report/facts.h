// What a set of runs says of itself, gathered over runs.
#pragma once

#include <string>
#include <vector>

#include "core/fields.h"

namespace attnlab::report {

// A fact of one run's provenance as text, "" if it has none of that name.
std::string fact(const FlatFields& facts, const std::string& key);
// The texts without repetition, in order of first appearance, without "".
std::vector<std::string> distinct(const std::vector<std::string>& texts);
// "1, 2, 3"; above `most` texts "1, 2 and 5 more".
std::string listed(const std::vector<std::string>& texts, size_t most = 8);

}  // namespace attnlab::report
