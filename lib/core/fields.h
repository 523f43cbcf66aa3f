// One field visitor per config struct drives everything that must know its fields: YAML parsing, unknown-key
// errors, the resolved dump, HDF5 attributes and equality.
//
// A config struct declares
//   template <class Self, class Visitor>
//   static void fields(Self& self, Visitor&& visit) {
//     visit(Key{"steps", "optimizer steps"}.at_least(1), self.steps);
//   }
// Members may be bool, int64_t, double, std::string, a named enum, std::optional or std::vector of those, or
// another config struct.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/names.h"

namespace attnlab {

// A field's name, its one-line help, and the numbers it admits.
struct Key {
  std::string_view name;
  std::string_view help;
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool exclusive_minimum = false;
  bool required = false;

  constexpr Key at_least(double value) const {
    Key key = *this;
    key.minimum = value;
    return key;
  }
  constexpr Key at_most(double value) const {
    Key key = *this;
    key.maximum = value;
    return key;
  }
  constexpr Key above(double value) const {
    Key key = *this;
    key.minimum = value;
    key.exclusive_minimum = true;
    return key;
  }
  constexpr Key must_be_given() const {
    Key key = *this;
    key.required = true;
    return key;
  }

  constexpr bool admits(double value) const {
    return value <= maximum && (exclusive_minimum ? value > minimum : value >= minimum);
  }
};

namespace detail {
struct NullVisitor {
  template <class T>
  void operator()(const Key&, T&&) const {}
};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
}  // namespace detail

template <class T>
concept HasFields = requires(T& t) {
  std::remove_cvref_t<T>::fields(t, detail::NullVisitor{});
};
template <class T>
concept OptionalField = detail::IsOptional<std::remove_cvref_t<T>>::value;
template <class T>
concept VectorField = detail::IsVector<std::remove_cvref_t<T>>::value;

// A leaf value of a config struct.
using FieldValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                                std::vector<std::string>>;
using FlatFields = std::vector<std::pair<std::string, FieldValue>>;

namespace detail {
struct Flatten {
  FlatFields& out;
  std::string prefix;

  template <class T>
  void operator()(const Key& key, const T& value) const {
    const std::string name = prefix + std::string(key.name);
    if constexpr (HasFields<T>) {
      T::fields(value, Flatten{out, name + "."});
    } else if constexpr (OptionalField<T>) {
      if (value) (*this)(key, *value);
    } else if constexpr (NamedEnum<T>) {
      out.emplace_back(name, std::string(name_of(value)));
    } else if constexpr (VectorField<T>) {
      using Element = typename T::value_type;
      if constexpr (HasFields<Element>) {
        for (size_t i = 0; i < value.size(); ++i)
          Element::fields(value[i], Flatten{out, name + "[" + std::to_string(i) + "]."});
      } else {
        out.emplace_back(name, value);
      }
    } else {
      out.emplace_back(name, value);
    }
  }
};
}  // namespace detail

// All leaves of a struct in declaration order, with dotted names ("train.lr"). Empty optionals are left out.
template <HasFields T>
FlatFields flatten(const T& config, std::string prefix = "") {
  FlatFields out;
  T::fields(config, detail::Flatten{out, std::move(prefix)});
  return out;
}

// A leaf as it would be written in YAML (strings quoted only where YAML needs it; doubles round-trip exactly).
std::string to_text(const FieldValue& value);

// Leaves that differ, as "key: A against B"; a leaf absent on one side shows as "nothing". Empty: equal.
std::vector<std::string> differences(const FlatFields& a, const FlatFields& b);

template <HasFields T>
bool fields_equal(const T& a, const T& b) {
  return flatten(a) == flatten(b);
}

}  // namespace attnlab
