#include "compare/rate_note.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/find_field.h"

namespace attnlab {

std::string rate_sentence(const FlatFields& config) {
  const auto* rate = find_field<double>(config, "train.lr");
  const auto* sweep = find_field<std::vector<double>>(config, "lr_selection.sweep");
  const auto* seeds = find_field<std::vector<int64_t>>(config, "lr_selection.seeds");
  const auto* by = find_field<std::string>(config, "lr_selection.select_by");
  if (!rate || !sweep || !seeds || !by) return "";
  return fmt::format("{}, chosen from {} by {} on seed{} {}", *rate, fmt::join(*sweep, ", "), *by,
                     seeds->size() == 1 ? "" : "s", fmt::join(*seeds, ", "));
}

std::string edge_of_sweep(const FlatFields& config) {
  const auto* rate = find_field<double>(config, "train.lr");
  const auto* sweep = find_field<std::vector<double>>(config, "lr_selection.sweep");
  if (!rate || !sweep || sweep->empty()) return "";
  const auto [low, high] = std::minmax_element(sweep->begin(), sweep->end());
  if (*low == *high) return "";
  return *rate == *high ? "the highest" : *rate == *low ? "the lowest" : "";
}

}  // namespace attnlab
