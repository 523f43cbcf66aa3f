#include "config/document.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <optional>
#include <utility>

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
                    .expected = one_of(valid, node.text),
                    .nearest = nearest_name(node.text, valid)});
}

void wrong_kind(const Node& node, const std::string& key, const char* expected) { refuse(node, key, expected); }

std::string item_key(const Node& item, const std::string& list, size_t number) {
  const std::string name = name_of_item(item);
  return name.empty() ? list + "[" + std::to_string(number) + "]" : list + "." + name;
}

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
                    .expected = valid.empty() ? "no key here" : one_of(valid, name),
                    .nearest = nearest_name(name, valid)});
}

}  // namespace detail

namespace {

// "eval.tasks[0].name" → eval, tasks, [0], name.
std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts(1);
  for (const char c : key) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      if (c == '[') parts.emplace_back();
      parts.back() += c;
    }
  }
  return parts;
}

bool is_item(const std::string& part) { return part.starts_with('['); }

// Writes leaf by leaf, and the maps and list items around it as they begin.
class YamlText {
 public:
  void add(const std::string& key, const FieldValue& value) {
    const auto parts = parts_of(key);
    size_t depth = 0;
    while (depth + 1 < parts.size() && depth < open_.size() && open_[depth] == parts[depth]) ++depth;
    for (; depth + 1 < parts.size(); ++depth) {
      if (is_item(parts[depth])) {
        begins_item_ = true;
      } else {
        text_ += indent(depth) + parts[depth] + ":\n";
      }
    }
    text_ += indent(depth) + parts.back() + ": " + to_text(value) + "\n";
    open_.assign(parts.begin(), parts.end() - 1);
  }
  std::string take() { return std::move(text_); }

 private:
  // The first line of an item has its dash in the item's own column.
  std::string indent(size_t depth) {
    const bool dash = std::exchange(begins_item_, false);
    return dash ? std::string(2 * (depth - 1), ' ') + "- " : std::string(2 * depth, ' ');
  }

  std::string text_;
  std::vector<std::string> open_;
  bool begins_item_ = false;
};

}  // namespace

std::string to_yaml(const FlatFields& fields) {
  YamlText text;
  for (const auto& [key, value] : fields) text.add(key, value);
  return text.take();
}

}  // namespace attnlab
