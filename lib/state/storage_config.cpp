#include "state/storage_config.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnlab {

std::optional<BadInput> storage_config_problem(const StorageConfig& config) {
  const int64_t group = config.group > 0 ? config.group : 32;
  if (config.name == CacheStorageName::kivi && config.residual % group != 0)
    return BadInput{.key = "residual",
                    .found = fmt::format("{}", config.residual),
                    .expected = fmt::format("a multiple of the {} tokens of a group", group)};
  return std::nullopt;
}

bool is_storage_key(const std::string& key) {
  const FlatFields fields = flatten(StorageConfig{});
  return std::any_of(fields.begin(), fields.end(), [&](const auto& field) { return field.first == key; });
}

std::string why_idle(const StorageConfig& config, const std::string& key) {
  const auto unless = [&](CacheStorageName name) {
    return config.name == name ? "" : fmt::format("the storage is {}", name_of(config.name));
  };
  if (key == "bits" || key == "residual") return unless(CacheStorageName::kivi);
  if (key == "fp8_scales") return unless(CacheStorageName::fp8);
  if (key == "group" && config.name == CacheStorageName::dense) return "the storage is dense";
  return "";
}

}  // namespace attnlab
