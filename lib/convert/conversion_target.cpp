#include "convert/conversion_target.h"

#include "config/document.h"
#include "model/variant_options.h"

namespace attnlab {
namespace {

// Calls `visit.template operator()<T>()` for each alternative behind the variants.
template <class Visit, size_t... I>
void each_matrix_target(const Visit& visit, std::index_sequence<I...>) {
  (visit.template operator()<std::variant_alternative_t<I + 1, ConversionTarget>>(), ...);
}
template <class Visit>
void each_matrix_target(const Visit& visit) {
  each_matrix_target(visit, std::make_index_sequence<std::variant_size_v<ConversionTarget> - 1>());
}

}  // namespace

std::string target_name(const ConversionTarget& target) {
  return std::visit(
      []<class T>(const T& held) {
        if constexpr (std::is_same_v<T, VariantConfig>)
          return variant_name(held);
        else
          return std::string(T::kName);
      },
      target);
}

std::optional<ConversionTarget> target_defaults(const std::string& name) {
  if (const auto variant = variant_defaults(name)) return *variant;
  std::optional<ConversionTarget> found;
  each_matrix_target([&]<class T>() {
    if (name == T::kName) found = T{};
  });
  return found;
}

ConversionTarget target_with_options(ConversionTarget target, const Node& options) {
  std::visit(
      [&]<class T>(T& held) {
        if constexpr (std::is_same_v<T, VariantConfig>)
          held = with_options(held, options);
        else
          held = read_config<T>(options, "");
      },
      target);
  return target;
}

FlatFields target_fields(const ConversionTarget& target) {
  return std::visit(
      []<class T>(const T& held) {
        if constexpr (std::is_same_v<T, VariantConfig>)
          return variant_fields(held);
        else
          return flatten(held);
      },
      target);
}

std::vector<std::string> matrix_target_names() {
  std::vector<std::string> names;
  each_matrix_target([&]<class T>() { names.emplace_back(T::kName); });
  return names;
}

}  // namespace attnlab
