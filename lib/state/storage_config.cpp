#include "state/storage_config.h"

#include <fmt/format.h>

#include "core/find_field.h"

namespace attnlab {

std::optional<BadInput> storage_config_problem(const StorageConfig& config) {
  const int64_t group = config.group > 0 ? config.group : 32;
  if (config.name == CacheStorageName::kivi && config.residual % group != 0)
    return BadInput{.key = "residual",
                    .found = fmt::format("{}", config.residual),
                    .expected = fmt::format("a multiple of the {} tokens of a group", group)};
  if (config.name == CacheStorageName::kvquant && config.calibration.empty())
    return BadInput{
        .key = "calibration",
        .found = "nothing",
        .expected = "the file that calibrate_cache wrote for this model: kvquant has no levels without"};
  return std::nullopt;
}

bool is_storage_key(const std::string& key) {
  const FlatFields fields = flatten(StorageConfig{});
  return find_field(fields, key) != nullptr;
}

std::string why_idle(const StorageConfig& config, const std::string& key) {
  const auto unless = [&](CacheStorageName name) {
    return config.name == name ? "" : fmt::format("the storage is {}", name_of(config.name));
  };
  if (key == "bits" || key == "residual") return unless(CacheStorageName::kivi);
  if (key == "calibration" || key == "first") return unless(CacheStorageName::kvquant);
  if (key == "merge_at" || key == "retain" || key == "merge_from") return unless(CacheStorageName::minicache);
  if (key == "fp8_scales") return unless(CacheStorageName::fp8);
  const bool in_groups = config.name != CacheStorageName::dense && config.name != CacheStorageName::kvquant &&
                         config.name != CacheStorageName::minicache;
  if (key == "group" && !in_groups) return fmt::format("the storage is {}", name_of(config.name));
  return "";
}

}  // namespace attnlab
