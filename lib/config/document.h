// YAML tree → typed config struct, through the struct's field visitor (core/fields.h).
//
// Errors name file, line, key, what was found, what was expected, and the nearest valid key or value.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/node.h"
#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {
namespace detail {

// Scalar readers; `key` is the dotted name for messages, `info` the range.
void read_leaf(const Node& node, const std::string& key, const Key& info, bool& value);
void read_leaf(const Node& node, const std::string& key, const Key& info, int64_t& value);
void read_leaf(const Node& node, const std::string& key, const Key& info, double& value);
void read_leaf(const Node& node, const std::string& key, const Key& info, std::string& value);
[[noreturn]] void wrong_name(const Node& node, const std::string& key, const std::vector<std::string>& valid);
[[noreturn]] void wrong_kind(const Node& node, const std::string& key, const char* expected);
// Names the item of a list in messages: by its name (the key `name` of arms, `task` of tasks), or by its
// number.
std::string item_key(const Node& item, const std::string& list, size_t number);
[[noreturn]] void missing_key(const Node& parent, const std::string& key, const Key& info);
[[noreturn]] void unknown_key(const Node& node, const std::string& key, const std::string& name,
                              const std::vector<std::string>& valid);

template <class T>
void read_value(const Node& node, const std::string& key, const Key& info, T& value);

// A struct whose fields depend on a value among them (the options on the name of a variant) sees the node
// first.
template <class T>
concept ChoosesFields = requires(const Node& node, const std::string& prefix, T& value) {
  T::choose_fields(node, prefix, value);
};

// Visits a struct's fields, taking each from the map node.
struct Reader {
  const Node& node;
  const std::string& prefix;
  std::vector<std::string>& known;

  template <class T>
  void operator()(const Key& info, T& value) const {
    known.emplace_back(info.name);
    const std::string key = prefix + std::string(info.name);
    const Node* child = node.find(info.name);
    const bool absent = !child || child->kind == Node::Kind::null;
    if (absent && info.required) missing_key(node, key, info);
    if (absent) return;
    read_value(*child, key, info, value);
  }
};

template <HasFields T>
void read_struct(const Node& node, const std::string& prefix, T& value,
                 const std::vector<std::string>& also_known = {}) {
  if (node.kind != Node::Kind::map && node.kind != Node::Kind::null) wrong_kind(node, prefix, "a map of keys");
  if constexpr (ChoosesFields<T>) T::choose_fields(node, prefix, value);
  std::vector<std::string> known = also_known;
  const std::string dotted = prefix.empty() ? "" : prefix + ".";
  T::fields(value, Reader{node, dotted, known});
  for (const auto& [name, child] : node.entries)
    if (std::find(known.begin(), known.end(), name) == known.end())
      unknown_key(child, dotted + name, name, known);
}

template <class T>
void read_list(const Node& node, const std::string& key, const Key& info, std::vector<T>& values) {
  if (node.kind != Node::Kind::list) wrong_kind(node, key, "a list");
  values.clear();
  for (size_t i = 0; i < node.items.size(); ++i) {
    T item{};
    read_value(node.items[i], item_key(node.items[i], key, i), info, item);
    values.push_back(std::move(item));
  }
}

template <class T>
void read_value(const Node& node, const std::string& key, const Key& info, T& value) {
  if constexpr (HasFields<T>) {
    read_struct(node, key, value);
  } else if constexpr (OptionalField<T>) {
    typename T::value_type inner{};
    read_value(node, key, info, inner);
    value = std::move(inner);
  } else if constexpr (VectorField<T>) {
    read_list(node, key, info, value);
  } else if constexpr (NamedEnum<T>) {
    const auto found = node.kind == Node::Kind::scalar ? from_name<T>(node.text) : std::nullopt;
    if (!found) wrong_name(node, key, all_names<T>());
    value = *found;
  } else {
    read_leaf(node, key, info, value);
  }
}

}  // namespace detail

// Fills a struct from a map node; fields that are absent keep their defaults. `prefix` is the node's dotted
// name. `also_known` are keys that the caller reads by itself. Throws InputError.
template <HasFields T>
T read_config(const Node& node, const std::string& prefix = "",
              const std::vector<std::string>& also_known = {}) {
  T value;
  detail::read_struct(node, prefix, value, also_known);
  return value;
}

// Flat fields as nested YAML text, the form of the resolved dump: read_config reads the same struct from it.
std::string to_yaml(const FlatFields& fields);

}  // namespace attnlab
