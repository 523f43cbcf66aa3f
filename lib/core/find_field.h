// One value among flattened fields.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "core/fields.h"

namespace attnlab {

// The value under a dotted key; nullptr if there is none.
inline const FieldValue* find_field(const FlatFields& fields, std::string_view key) {
  for (const auto& [name, value] : fields)
    if (name == key) return &value;
  return nullptr;
}

// The same if it is a T, else nullptr.
template <class T>
const T* find_field(const FlatFields& fields, std::string_view key) {
  const FieldValue* value = find_field(fields, key);
  return value ? std::get_if<T>(value) : nullptr;
}

// Its text; `absent` if there is none.
inline std::string field_text(const FlatFields& fields, std::string_view key, const std::string& absent = "") {
  const FieldValue* value = find_field(fields, key);
  return value ? to_text(*value) : absent;
}

}  // namespace attnlab
