// Every storage, with options at which all that it does happens within a few tokens.
#pragma once

#include <string>
#include <vector>

#include "state/cache_config.h"
#include "state/kvquant.h"
#include "state/storage_forms.h"

namespace attnlab::test {

inline StorageConfig stored_as(CacheStorageName name, int64_t group = 0) {
  return {.name = name, .bits = 2, .group = group, .residual = 8};
}

inline std::vector<StorageConfig> all_storages() {
  std::vector<StorageConfig> all{stored_as(CacheStorageName::dense),   stored_as(CacheStorageName::int8),
                                 stored_as(CacheStorageName::int8, 2), stored_as(CacheStorageName::int4),
                                 stored_as(CacheStorageName::fp8),     stored_as(CacheStorageName::kivi, 4)};
  all.push_back(stored_as(CacheStorageName::fp8));
  all.back().fp8_scales = Fp8Scales::power_of_two;
  all.push_back(stored_as(CacheStorageName::fp8));
  all.back().fp8_scales = Fp8Scales::one;
  all.push_back(stored_as(CacheStorageName::kivi, 2));
  all.back().bits = 3;
  all.push_back(stored_as(CacheStorageName::kvquant));
  all.back().bits = 3, all.back().calibration = "none: storage_of makes one";
  return all;
}

// For layers that keep this; KVQuant with even levels, and of normal numbers some as outliers.
inline StoragePlan storage_of(const StorageConfig& config, const std::vector<StateLayout>& layers) {
  if (config.name != CacheStorageName::kvquant) return storage_form(config);
  KvquantTables tables{.bits = config.bits, .inliers = 0.9, .layers = {}};
  for (const auto& layout : layers) {
    tables.layers.emplace_back();
    for (const auto& slot : layout) {
      KvquantTable& table = tables.layers.back()[slot.name];
      table.levels = torch::linspace(-1, 1, 1 << config.bits, torch::kFloat64);
      if (slot.serves != Serves::keys || slot.rotary_apart) continue;
      table.upper_W = torch::full({slot.width}, 1.6, torch::kFloat64);
      table.lower_W = -table.upper_W;
    }
  }
  return kvquant_storage(std::move(tables), config);
}

inline std::string label(const StorageConfig& config) {
  return std::string(name_of(config.name)) + " bits " + std::to_string(config.bits) + " group " +
         std::to_string(config.group) + " " + std::string(name_of(config.fp8_scales));
}

}  // namespace attnlab::test
