#include "core/fields.h"

#include <fmt/format.h>

#include <cctype>
#include <map>

namespace attnlab {
namespace {

bool is_plain(const std::string& text) {
  if (text.empty() || text == "true" || text == "false" || text == "~") return false;
  if (text == "null" || text == "Null" || text == "NULL") return false;
  const std::string_view safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/.";
  if (safe.find(text[0]) == std::string_view::npos || text[0] == '.') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.-= ") ==
             std::string::npos &&
         text.back() != ' ';
}

std::string scalar(bool value) { return value ? "true" : "false"; }
std::string scalar(int64_t value) { return fmt::format("{}", value); }
std::string scalar(double value) { return fmt::format("{}", value); }
std::string scalar(const std::string& text) {
  if (is_plain(text)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else if (std::iscntrl(static_cast<unsigned char>(c))) {
      quoted += fmt::format("\\x{:02x}", c);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

template <class T>
std::string scalar(const std::vector<T>& values) {
  std::vector<std::string> parts;
  for (const auto& value : values) parts.push_back(scalar(value));
  return "[" + join(parts) + "]";
}

}  // namespace

std::string to_text(const FieldValue& value) {
  return std::visit([](const auto& leaf) { return scalar(leaf); }, value);
}

std::vector<std::string> differences(const FlatFields& a, const FlatFields& b) {
  const std::map<std::string, FieldValue> left(a.begin(), a.end()), right(b.begin(), b.end());
  std::vector<std::string> found;
  for (const auto& [key, value] : a) {
    const auto other = right.find(key);
    if (other == right.end() || other->second != value)
      found.push_back(fmt::format("{}: {} against {}", key, to_text(value),
                                  other == right.end() ? "nothing" : to_text(other->second)));
  }
  for (const auto& [key, value] : b)
    if (!left.count(key)) found.push_back(fmt::format("{}: nothing against {}", key, to_text(value)));
  return found;
}

}  // namespace attnlab
