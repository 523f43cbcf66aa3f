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

int64_t common_heads(const StateLayout& layout) {
  int64_t heads = 0;
  for (const auto& slot : layout) {
    if (slot.extent == Extent::fixed) continue;
    if (heads > 0 && slot.heads != heads) return 1;
    heads = slot.heads;
  }
  return heads > 0 ? heads : 1;
}

}  // namespace attnlab
