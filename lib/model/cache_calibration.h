// What calibration text says of a model's caches, for storages whose levels are fitted to it (KVQuant), and the
// file that holds it.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "model/decoder.h"
#include "state/kvquant.h"

namespace attnlab {

struct CacheCalibration {
  KvquantTables tables;
  torch::Tensor fingerprint;  // whose numbers these are (cache_fingerprint)
};

struct CacheCalibrationOptions {
  int64_t bits = 3;
  double inliers = 0.99;
  int64_t first = 1;   // oldest tokens of a row, which stay as they are and are left out
  bool fisher = true;  // numbers weigh as the square of the loss's gradient; false: all alike
  int64_t rows_at_once = 4;
};

// From rows of token ids [N, T], predicting each token of a row from those before. `done` hears of rows that
// are through; may throw to stop. Throws InputError if a layer keeps nothing that can be coded so.
CacheCalibration calibrate_cache(Decoder& decoder, const torch::Tensor& ids_NT,
                                 const CacheCalibrationOptions& options,
                                 const std::function<void(int64_t)>& done = {});

// float64 [layers, 2]: of each layer's mixer Σ p² and Σ p sin(i) over its parameters p, i their places from 1
// on.
torch::Tensor cache_fingerprint(const Decoder& decoder);

// A safetensors file: layers.N.SLOT.levels, .lower, .upper and fingerprint; bits, inliers and `notes` as
// metadata.
void write_cache_calibration(const std::filesystem::path& path, const CacheCalibration& calibration,
                             const std::map<std::string, std::string>& notes = {});
// Throws InputError for a file that is none.
CacheCalibration read_cache_calibration(const std::filesystem::path& path);

// make_cache_plan, with the calibration that the config names. Throws InputError (key:
// "eval.cache.calibration").
CachePlan read_cache_plan(const CacheConfig& config);
// The same, if the calibration is this model's.
CachePlan cache_plan_for(const CacheConfig& config, const Decoder& decoder);

}  // namespace attnlab
