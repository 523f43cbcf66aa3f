// Lists without repetitions.
#pragma once

#include <algorithm>
#include <vector>

namespace attnlab {

// Appends the value unless the list has it.
template <class T>
void add_once(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

}  // namespace attnlab
