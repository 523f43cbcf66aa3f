// Ways of keeping a cache, in panels.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "results/measurements.h"

namespace attnlab {

// Rows that are compared with each other: those of a study, a task, and when tokens leave.
std::vector<std::pair<std::string, std::vector<CacheRow>>> cache_panels_of(const std::vector<CacheRow>& rows);

// Nothing else of the panel has as few bytes at 4K and is as good, unless both are the same.
bool on_cache_front(const CacheRow& row, const std::vector<CacheRow>& panel);

}  // namespace attnlab
