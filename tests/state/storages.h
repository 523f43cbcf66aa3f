// Every storage, with options at which all that it does happens within a few tokens.
#pragma once

#include <string>
#include <vector>

#include "state/cache_config.h"

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
  return all;
}

inline std::string label(const StorageConfig& config) {
  return std::string(name_of(config.name)) + " bits " + std::to_string(config.bits) + " group " +
         std::to_string(config.group) + " " + std::string(name_of(config.fp8_scales));
}

}  // namespace attnlab::test
