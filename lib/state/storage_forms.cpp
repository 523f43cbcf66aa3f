#include "state/storage_forms.h"

#include "core/errors.h"
#include "state/kvquant.h"

namespace attnlab {

StoragePlan storage_form(const StorageConfig& config) {
  ATTNLAB_CHECK(!storage_config_problem(config));
  switch (config.name) {
    case CacheStorageName::dense:
      return dense_storage();
    case CacheStorageName::int8:
      return int8_storage(config);
    case CacheStorageName::int4:
      return int4_storage(config);
    case CacheStorageName::fp8:
      return fp8_storage(config);
    case CacheStorageName::kivi:
      return kivi_storage(config);
    case CacheStorageName::kvquant:
      return kvquant_storage({.bits = config.bits}, config);
    case CacheStorageName::minicache:
      return minicache_storage(config);
  }
  return dense_storage();
}

}  // namespace attnlab
