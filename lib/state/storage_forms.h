// The forms that caches are stored in, one a file.
#pragma once

#include "state/storage.h"
#include "state/storage_config.h"

namespace attnlab {

// What the config asks for.
StoragePlan storage_form(const StorageConfig& config);

// Each token by itself: int8 symmetric, int4 between minimum and maximum, a scale for each group of neighbours
// in each head.
StoragePlan int8_storage(const StorageConfig& config);
StoragePlan int4_storage(const StorageConfig& config);
// fp8 e4m3, the same way. Latents with their rotary part as they stand in FlashMLA's records
// (latent_record.h).
StoragePlan fp8_storage(const StorageConfig& config);
// KIVI (arXiv 2402.02750): keys in groups of 32 tokens by channel, values in groups of 32 channels by token,
// the newest `residual` tokens as they came. Keys wait until there are `residual` of them. A latent that serves
// keys and values alike is coded as values are.
StoragePlan kivi_storage(const StorageConfig& config);

// MiniCache (arXiv 2405.14366): from `merge_from` on two layers each keep one direction for a token.
StoragePlan minicache_storage(const StorageConfig& config);

}  // namespace attnlab
