// The learning rate of a step.
#pragma once

#include <cstdint>

#include "train/train_config.h"

namespace attnlab {

// The learning rate of step 1 … steps: linear warm-up from lr / warmup_steps, then the schedule, which ends at
// lr · final_lr_share in the last step. warmup_stable_decay (arXiv 2404.06395) stays at lr until the last
// round(decay_share · steps) steps, in which it falls linearly (arXiv 2405.18392); warm-up goes before decay.
double learning_rate(const TrainConfig& config, int64_t step);

}  // namespace attnlab
