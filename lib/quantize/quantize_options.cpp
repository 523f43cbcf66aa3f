#include "quantize/quantize_options.h"

#include <fmt/format.h>

namespace attnlab {

std::optional<BadInput> quantize_problem(int64_t bits, int64_t group_size) {
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
    return BadInput{.key = "bits", .found = fmt::format("{}", bits), .expected = "2, 3, 4 or 8"};
  if (group_size == 0 || group_size < -1)
    return BadInput{.key = "group_size",
                    .found = fmt::format("{}", group_size),
                    .expected = "a number of columns from 1, or -1: one group for all"};
  return std::nullopt;
}

int64_t columns_of_group(int64_t group_size, int64_t in) { return group_size == -1 ? in : group_size; }

int64_t groups_of(int64_t group_size, int64_t in) {
  const int64_t columns = columns_of_group(group_size, in);
  return (in + columns - 1) / columns;
}

}  // namespace attnlab
