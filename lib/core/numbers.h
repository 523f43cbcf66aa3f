// Numbers from text. The text is the number and nothing else: no spaces, no "+" in front, nothing behind; what
// the type can't hold is none. The same in every locale.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace attnlab {

namespace detail {
template <class Number, class... Format>
std::optional<Number> number_from(std::string_view text, Format... format) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, format...);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}
}  // namespace detail

// Digits of `base` (2 to 36), with "-" in front for types that have a sign; no "0x".
template <std::integral Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  return detail::number_from<Number>(text, base);
}

// A decimal, "-1.5e-3". "inf" and "nan" are none, nor are numbers too large or too small for the type.
template <std::floating_point Number>
std::optional<Number> parse_number(std::string_view text) {
  const auto value = detail::number_from<Number>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

// The same with "inf", "-inf" and "nan": for what a program wrote itself, such as the loss of a run that
// diverged.
template <std::floating_point Number>
std::optional<Number> parse_any_number(std::string_view text) {
  return detail::number_from<Number>(text);
}

}  // namespace attnlab
