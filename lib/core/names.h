// Name tables: one per closed set. They give the list of valid names and the nearest one to a typing slip.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnlab {

// Number of single-character edits (insert, delete, replace, swap of neighbours) between two names.
int edit_distance(std::string_view a, std::string_view b);

// The candidate with the smallest edit distance, or "" if none is within a third of the name's length (at least
// 1, and less than all of it): a far-fetched suggestion is worse than none.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

// "one of a, b, c": what a closed set admits, for the line of an error. Of more than five names five in their
// order, those nearest to `found` if one of them is plausible (nearest_name) and else the first, and how many
// more there are.
std::string one_of(const std::vector<std::string>& names, std::string_view found = "");

// "a, b, c"
std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ");

// Specialise for an enum: `static constexpr std::array<std::pair<std::string_view, E>, n> rows`.
template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = requires {
  EnumNames<E>::rows;
};

template <NamedEnum E>
std::string_view name_of(E value) {
  for (const auto& [name, row] : EnumNames<E>::rows)
    if (row == value) return name;
  return "?";
}

template <NamedEnum E>
std::optional<E> from_name(std::string_view text) {
  for (const auto& [name, row] : EnumNames<E>::rows)
    if (name == text) return row;
  return std::nullopt;
}

template <NamedEnum E>
std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& [name, row] : EnumNames<E>::rows) names.emplace_back(name);
  return names;
}

}  // namespace attnlab
