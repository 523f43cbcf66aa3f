#include "config/document.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <optional>

#include "core/numbers.h"

namespace attnlab {
namespace detail {
namespace {

[[noreturn]] void refuse(const Node& node, const std::string& key, const std::string& expected) {
  throw InputError(
      {.file = node.file, .line = node.line, .key = key, .found = node.describe(), .expected = expected});
}

std::string range_text(const Key& info, const char* kind) {
  std::string text = kind;
  if (std::isfinite(info.minimum))
    text += fmt::format(" {} {}", info.exclusive_minimum ? "above" : "of at least", info.minimum);
  if (std::isfinite(info.maximum))
    text += fmt::format("{} at most {}", std::isfinite(info.minimum) ? " and" : " of", info.maximum);
  return text;
}

// Takes the "_" out of digits grouped as 1_000; false if one stands elsewhere than between digits.
bool ungroup(std::string& text) {
  const auto digit = [&](size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i]));
  };
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '_' && (i == 0 || !digit(i - 1) || !digit(i + 1))) return false;
  std::erase(text, '_');
  return true;
}

// The whole text as a finite number, which may have a "+" in front and grouped digits.
template <class Number>
std::optional<Number> yaml_number(std::string text) {
  if (!ungroup(text)) return std::nullopt;
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.erase(0, 1);
  return parse_number<Number>(text);
}

template <class Number>
void read_number(const Node& node, const std::string& key, const Key& info, const char* kind, Number& value) {
  const bool plain = node.kind == Node::Kind::scalar && !node.quoted;
  const auto parsed = plain ? yaml_number<Number>(node.text) : std::nullopt;
  if (!parsed || !info.admits(static_cast<double>(*parsed))) refuse(node, key, range_text(info, kind));
  value = *parsed;
}

}  // namespace

void read_leaf(const Node& node, const std::string& key, const Key&, bool& value) {
  if (node.kind != Node::Kind::scalar || node.quoted || (node.text != "true" && node.text != "false"))
    refuse(node, key, "true or false");
  value = node.text == "true";
}

void read_leaf(const Node& node, const std::string& key, const Key& info, int64_t& value) {
  read_number(node, key, info, "a whole number", value);
}

void read_leaf(const Node& node, const std::string& key, const Key& info, double& value) {
  read_number(node, key, info, "a number", value);
}

void read_leaf(const Node& node, const std::string& key, const Key&, std::string& value) {
  if (node.kind != Node::Kind::scalar) refuse(node, key, "text");
  value = node.text;
}

void wrong_name(const Node& node, const std::string& key, const std::vector<std::string>& valid) {
  throw InputError({.file = node.file,
                    .line = node.line,
                    .key = key,
                    .found = node.describe(),
                    .expected = "one of " + join(valid),
                    .nearest = nearest_name(node.text, valid)});
}

void wrong_kind(const Node& node, const std::string& key, const char* expected) { refuse(node, key, expected); }

void missing_key(const Node& parent, const std::string& key, const Key& info) {
  throw InputError({.file = parent.file,
                    .line = parent.line,
                    .key = key,
                    .found = "nothing",
                    .expected = std::string(info.help)});
}

void unknown_key(const Node& node, const std::string& key, const std::string& name,
                 const std::vector<std::string>& valid) {
  throw InputError({.file = node.file,
                    .line = node.line,
                    .key = key,
                    .found = "an unknown key",
                    .expected = "one of " + join(valid),
                    .nearest = nearest_name(name, valid)});
}

}  // namespace detail

namespace {
std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', begin)) {
    parts.push_back(key.substr(begin, dot - begin));
    begin = dot + 1;
  }
  parts.push_back(key.substr(begin));
  return parts;
}
}  // namespace

std::string to_yaml(const FlatFields& fields) {
  std::string text;
  std::vector<std::string> open;
  for (const auto& [key, value] : fields) {
    const auto parts = parts_of(key);
    size_t common = 0;
    while (common + 1 < parts.size() && common < open.size() && open[common] == parts[common]) ++common;
    for (size_t depth = common; depth + 1 < parts.size(); ++depth)
      text += std::string(2 * depth, ' ') + parts[depth] + ":\n";
    text += std::string(2 * (parts.size() - 1), ' ') + parts.back() + ": " + to_text(value) + "\n";
    open.assign(parts.begin(), parts.end() - 1);
  }
  return text;
}

}  // namespace attnlab
