// The files of one run.
#pragma once

#include <filesystem>

#include "experiment/plan/plan.h"

namespace attnlab {

struct RunFiles {
  std::filesystem::path results;  // seed0.h5
  std::filesystem::path state;    // seed0.state.safetensors: what resuming needs; gone when the run is complete
  std::filesystem::path lock;     // .seed0.lock: held by the process that works on the run
  std::filesystem::path model;    // seed0.model/: the trained weights, if they are kept
};
RunFiles files_of(const PlannedRun& run);

// Throws InputError if the run's file was written for another config, naming the keys that differ. `device`,
// `train.shard` and `train.save_model` may differ. No file: nothing to check.
void check_same_config(const PlannedRun& run);

// Bytes of the trained weights in their file, and whether train.save_model keeps them.
int64_t weights_bytes(const TrainConfig& config, int64_t parameters);
bool keeps_weights(const TrainConfig& config, int64_t parameters);

// True if the run's file says that it is complete.
bool is_complete(const PlannedRun& run);

}  // namespace attnlab
