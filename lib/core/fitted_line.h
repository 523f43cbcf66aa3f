// A line of a terminal that is narrower than it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "core/names.h"

namespace attnlab {

// "name: step 3/30, loss 0.09, 2k tokens/s, all 6s" in at most so many bytes: parts between commas are left out
// as a whole, the third one first, so that no number is cut; what begins and ends the line stays the longest.
inline std::string fitted_line(const std::string& line, size_t width) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 2) {
    end = line.find(", ", begin);
    parts.push_back(line.substr(begin, end == std::string::npos ? end : end - begin));
  }
  while (parts.size() > 1 && join(parts).size() > width)
    parts.erase(parts.begin() +
                static_cast<std::ptrdiff_t>(std::min<size_t>(parts.size() > 2 ? parts.size() - 2 : 1, 2)));
  return join(parts).substr(0, width);
}

}  // namespace attnlab
