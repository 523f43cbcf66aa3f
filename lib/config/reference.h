// A config struct's keys as tables for people, through its field visitor (core/fields.h): type, range, default
// and help of everything that read_config takes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/fields.h"

namespace attnlab {

// One key, in words.
struct KeyRow {
  std::string name, type, range, standard, help;  // standard: the default
  bool operator==(const KeyRow&) const = default;
};

// The keys of one map.
struct KeyTable {
  std::string path;  // dotted; ends in ".N" for the items of a list; empty for the root
  std::vector<KeyRow> rows;
  std::vector<std::string> inherited;  // keys that are those of the map around it, in every respect
};

// The rows as a Markdown table, and below it the inherited keys in a sentence.
std::string to_markdown(const KeyTable& table);

namespace detail {

std::string dotted(const std::string& path, std::string_view name);
std::string in_ticks(std::string_view text);
// "one of" a closed set.
std::string names_text(const std::vector<std::string>& names);
// "≥ 1", "> 0", "0 to 1"; empty without bounds.
std::string range_text(const Key& key);
// A leaf as the cell of a default: "none" for an empty text.
std::string default_text(const FieldValue& value);
// Moves rows of `inner` that stand in `outer`, too, to `inner.inherited`.
void inherit(const KeyTable& outer, KeyTable& inner);

template <class T>
std::string type_text() {
  if constexpr (OptionalField<T>) {
    return type_text<typename T::value_type>();
  } else if constexpr (VectorField<T>) {
    return "list of " + type_text<typename T::value_type>() + "s";
  } else if constexpr (HasFields<T>) {
    return "map";
  } else if constexpr (NamedEnum<T>) {
    return "name";
  } else if constexpr (std::is_same_v<T, bool>) {
    return "bool";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "text";
  } else {
    return std::is_integral_v<T> ? "whole number" : "number";
  }
}

template <class T>
std::string range_of(const Key& key) {
  if constexpr (OptionalField<T> || VectorField<T>) {
    return range_of<typename T::value_type>(key);
  } else if constexpr (NamedEnum<T>) {
    return names_text(all_names<T>());
  } else {
    return range_text(key);
  }
}

template <class T>
std::string default_of(const T& value) {
  if constexpr (OptionalField<T>) {
    return value ? default_of(*value) : "none";
  } else if constexpr (HasFields<T>) {
    return "";
  } else if constexpr (NamedEnum<T>) {
    return in_ticks(name_of(value));
  } else if constexpr (VectorField<T>) {
    if constexpr (HasFields<typename T::value_type> || NamedEnum<typename T::value_type>)
      return "`[]`";
    else
      return default_text(value);
  } else {
    return default_text(value);
  }
}

// Visits a struct's fields: a row for each, and the tables of maps below it.
struct Describe {
  KeyTable& table;
  std::vector<KeyTable>& below;

  template <class T>
  void operator()(const Key& key, const T& value) const {
    table.rows.push_back({std::string(key.name), type_text<T>(), range_of<T>(key),
                          key.required ? "required" : default_of(value), std::string(key.help)});
    const std::string path = dotted(table.path, key.name);
    if constexpr (HasFields<T>) {
      add_map(path, value);
    } else if constexpr (OptionalField<T>) {
      if constexpr (HasFields<typename T::value_type>) add_map(path, typename T::value_type{});
    } else if constexpr (VectorField<T>) {
      if constexpr (HasFields<typename T::value_type>) add_map(path + ".N", typename T::value_type{});
    }
  }

  template <HasFields T>
  void add_map(const std::string& path, const T& value) const {
    KeyTable inner{.path = path};
    std::vector<KeyTable> deeper;
    T::fields(value, Describe{inner, deeper});
    inherit(table, inner);
    if (!inner.rows.empty() || !inner.inherited.empty()) below.push_back(std::move(inner));
    below.insert(below.end(), deeper.begin(), deeper.end());
  }
};

}  // namespace detail

// The table of the struct, which lies at `path`, then those of the maps in it, depth first. Defaults are those
// of `value`.
template <HasFields T>
std::vector<KeyTable> key_tables(const std::string& path, const T& value = {}) {
  KeyTable table{.path = path};
  std::vector<KeyTable> below;
  T::fields(value, detail::Describe{table, below});
  below.insert(below.begin(), std::move(table));
  return below;
}

}  // namespace attnlab
