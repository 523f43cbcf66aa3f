#include <cmath>
#include <numbers>

#include "train/train_config.h"

namespace attnlab {

double learning_rate(const TrainConfig& config, int64_t step) {
  const auto at = static_cast<double>(step), warmup = static_cast<double>(config.warmup_steps);
  if (step <= config.warmup_steps) return config.lr * at / warmup;
  if (config.schedule == Schedule::constant || config.steps <= config.warmup_steps) return config.lr;
  const double progress = (at - warmup) / (static_cast<double>(config.steps) - warmup);
  const double share =
      config.schedule == Schedule::linear ? 1 - progress : (1 + std::cos(std::numbers::pi * progress)) / 2;
  return config.lr * (config.final_lr_share + (1 - config.final_lr_share) * share);
}

}  // namespace attnlab
