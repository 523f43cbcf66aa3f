#include "core/names.h"

#include <algorithm>

namespace attnlab {

// Optimal string alignment distance (Damerau-Levenshtein with adjacent swaps).
int edit_distance(std::string_view a, std::string_view b) {
  const size_t columns = b.size() + 1;
  std::vector<int> d((a.size() + 1) * columns);
  auto at = [&](size_t i, size_t j) -> int& { return d[i * columns + j]; };
  for (size_t i = 0; i <= a.size(); ++i) at(i, 0) = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) at(0, j) = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(a.size(), b.size());
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  const int length = static_cast<int>(name.size());
  int best_distance = std::min(std::max(1, length / 3) + 1, length);
  for (const auto& candidate : candidates) {
    const int distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string one_of(const std::vector<std::string>& names, std::string_view found) {
  constexpr size_t kShown = 5;
  if (names.size() <= kShown) return "one of " + join(names);
  const bool by_distance = !nearest_name(found, names).empty();
  std::vector<std::pair<int, size_t>> order;  // distance, place
  for (size_t i = 0; i < names.size(); ++i)
    order.emplace_back(by_distance ? edit_distance(found, names[i]) : 0, i);
  std::sort(order.begin(), order.end());
  order.resize(kShown);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  std::vector<std::string> shown;
  for (const auto& [distance, place] : order) shown.push_back(names[place]);
  return "one of " + join(shown) + " and " + std::to_string(names.size() - kShown) + " more";
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const auto& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

}  // namespace attnlab
