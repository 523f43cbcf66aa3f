#include "attention/cache_fit.h"

#include <fmt/format.h>

#include "attention/linear.h"
#include "attention/mixer.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

BadInput none_to_fit(const VariantConfig& config) {
  return {.key = "cache",
          .found = "a size of the cache",
          .expected = fmt::format("none: what {} keeps does not grow with tokens", variant_name(config))};
}

// The least that the form can be fitted to, or what it keeps as it is.
int64_t least_cache(const VariantConfig& config, const AttentionShape& shape, int64_t numbers, int64_t kept) {
  for (int64_t n = numbers + 1; n < kept; ++n)
    if (variant_with_cache(variant_name(config), shape, n)) return n;
  return kept;
}

}  // namespace

// A product that is a whole number may have been rounded to just below it.
int64_t numbers_at(double share, int64_t whole) {
  return static_cast<int64_t>(share * static_cast<double>(whole) + 1e-9);
}

int64_t variant_cache(const AttentionShape& shape, const VariantConfig& config) {
  const ShapesOnly no_memory;
  return numbers_per_token(make_mixer(shape, config)->state_layout());
}

std::optional<BadInput> fit_to_cache(VariantConfig& config, const AttentionShape& shape, int64_t numbers) {
  const std::string name = variant_name(config);
  if (const auto fitted = variant_with_cache(name, shape, numbers)) {
    const FlatFields given = variant_fields(config), plain = variant_fields(*variant_defaults(name));
    for (const auto& [key, value] : variant_fields(*fitted)) {
      const FieldValue *standard = find_field(plain, key), *own = find_field(given, key);
      if (standard && *standard == value) continue;
      if (own && (!standard || *own != *standard))
        return BadInput{.key = key, .found = to_text(*own) + " beside cache", .expected = "one of the two"};
      take_option(config, *fitted, key);
    }
  }
  if (variant_problem(shape, config)) return std::nullopt;  // whoever builds it says so
  const int64_t kept = variant_cache(shape, config);
  if (kept == 0) return none_to_fit(config);
  if (kept <= numbers) return std::nullopt;
  return BadInput{.key = "cache",
                  .found = fmt::format("{} numbers a token and layer", numbers),
                  .expected = fmt::format("{} or more, which {} needs with these options",
                                          least_cache(config, shape, numbers, kept), variant_name(config))};
}

}  // namespace attnlab
