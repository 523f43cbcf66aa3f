#include "tasks/windows.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {

std::vector<Window> rolling_windows(int64_t n, int64_t length) {
  ATTNLAB_CHECK(n >= 0 && length >= 1);
  std::vector<Window> windows;
  for (int64_t first = 0; first < n; first += length) {
    const int64_t end = std::min(n, first + length);
    windows.push_back({.begin = std::max<int64_t>(-1, end - length - 1), .first_target = first, .end = end});
  }
  return windows;
}

std::vector<Window> plain_windows(int64_t n, int64_t length, Tail tail) {
  ATTNLAB_CHECK(n >= 0 && length >= 2);
  std::vector<Window> windows;
  for (int64_t begin = 0; begin < n; begin += length) {
    const int64_t end = std::min(n, begin + length);
    const bool whole = end - begin == length;
    if (whole || (tail == Tail::scored && end - begin >= 2))
      windows.push_back({.begin = begin, .first_target = begin + 1, .end = end});
  }
  return windows;
}

}  // namespace attnlab
