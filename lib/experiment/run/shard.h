// A part of a plan, for one of several processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace attnlab {

// Part `index` (from 1) of `count`: the runs whose place in the plan is index - 1 modulo count.
struct Shard {
  int64_t index = 1, count = 1;
  bool holds(size_t place) const { return static_cast<int64_t>(place) % count == index - 1; }
};
// "2/8". Throws InputError.
Shard parse_shard(const std::string& text);

}  // namespace attnlab
