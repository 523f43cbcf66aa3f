#include "config/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace attnlab {
namespace detail {

std::string dotted(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

std::string in_ticks(std::string_view text) { return fmt::format("`{}`", text); }

std::string names_text(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const auto& name : names) quoted.push_back(in_ticks(name));
  return join(quoted);
}

std::string range_text(const Key& key) {
  const bool low = std::isfinite(key.minimum), high = std::isfinite(key.maximum);
  if (low && high)
    return fmt::format("{}{} to {}", key.exclusive_minimum ? "above " : "", key.minimum, key.maximum);
  if (low) return fmt::format("{} {}", key.exclusive_minimum ? ">" : "≥", key.minimum);
  return high ? fmt::format("≤ {}", key.maximum) : "";
}

std::string default_text(const FieldValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text && text->empty() ? "none" : in_ticks(to_text(value));
}

void inherit(const KeyTable& outer, KeyTable& inner) {
  std::vector<KeyRow> own;
  for (auto& row : inner.rows) {
    if (std::find(outer.rows.begin(), outer.rows.end(), row) != outer.rows.end()) {
      inner.inherited.push_back(row.name);
    } else {
      own.push_back(std::move(row));
    }
  }
  inner.rows = std::move(own);
}

}  // namespace detail

namespace {

std::string escaped(const std::string& text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string cells(const KeyRow& row) {
  return fmt::format("| `{}` | {} | {} | {} | {} |\n", row.name, row.type, escaped(row.range, "|"),
                     escaped(row.standard, "|"), escaped(row.help, "|*<"));
}

}  // namespace

std::string to_markdown(const KeyTable& table) {
  std::string text;
  if (!table.rows.empty()) text = "| key | type | range | default | meaning |\n|---|---|---|---|---|\n";
  for (const auto& row : table.rows) text += cells(row);
  if (!table.inherited.empty())
    text += fmt::format("{}As in the map around it: {}.\n", table.rows.empty() ? "" : "\n",
                        detail::names_text(table.inherited));
  return text;
}

}  // namespace attnlab
