#include "tasks/stops.h"

#include <algorithm>

namespace attnlab {

std::string until_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t end = text.size();
  for (const auto& stop : stops)
    if (!stop.empty()) end = std::min(end, text.find(stop));
  return std::string(text.substr(0, end));
}

}  // namespace attnlab
