#include "state/layout.h"

namespace attnlab {
namespace {

int64_t widths_of(const StateLayout& layout, Extent extent) {
  int64_t total = 0;
  for (const auto& slot : layout)
    if (slot.extent == extent) total += slot.width;
  return total;
}

}  // namespace

int64_t numbers_per_token(const StateLayout& layout) { return widths_of(layout, Extent::per_token); }

int64_t fixed_numbers(const StateLayout& layout) { return widths_of(layout, Extent::fixed); }

}  // namespace attnlab
