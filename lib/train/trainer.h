// One arm's training: steps, and a state that continues bit for bit.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "model/decoder.h"
#include "train/adamw.h"
#include "train/train_config.h"

namespace attnlab {

// What a step measured. Tensors are scalars on the device, so that reading them is the caller's choice.
struct StepResult {
  torch::Tensor loss;           // mean over the step's targets, nats
  torch::Tensor gradient_norm;  // before clipping
  int64_t tokens = 0;           // without padding
  double learning_rate = 0;
};

// Where a saved run stands.
struct TrainProgress {
  int64_t step = 0, tokens = 0;
  double seconds = 0;
};

class Trainer {
 public:
  // Trains the parameters that require a gradient.
  Trainer(Decoder& decoder, const TrainConfig& config);

  // The step-th step (from 1) on its micro-batches. The loss is normalised by the targets of all of them.
  StepResult step(int64_t step, const std::vector<Batch>& micro_batches);

  // Trained parameters and both moments, atomically in one safetensors file. Throws RunError.
  void save(const std::filesystem::path& path, const TrainProgress& progress) const;
  // Puts back what `save` wrote. Throws InputError if the file is of another model.
  TrainProgress load(const std::filesystem::path& path);

 private:
  Decoder& decoder_;
  TrainConfig config_;
  AdamW optimizer_;
};

}  // namespace attnlab
