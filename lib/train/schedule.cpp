#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attnlab {
namespace {

// What is left of the way from lr to its final share, from 1 to 0, after a share of the falling steps.
double left_after(Schedule schedule, double progress) {
  if (schedule == Schedule::cosine) return (1 + std::cos(std::numbers::pi * progress)) / 2;
  return 1 - progress;
}

}  // namespace

double learning_rate(const TrainConfig& config, int64_t step) {
  const auto at = static_cast<double>(step), steps = static_cast<double>(config.steps);
  const auto warmup = static_cast<double>(config.warmup_steps);
  if (step <= config.warmup_steps) return config.lr * at / warmup;
  const bool stays = config.schedule == Schedule::warmup_stable_decay;
  const double begin = stays ? std::max(warmup, steps - std::round(config.decay_share * steps)) : warmup;
  if (config.schedule == Schedule::constant || steps <= begin || at <= begin) return config.lr;
  const double share = left_after(config.schedule, (at - begin) / (steps - begin));
  return config.lr * (config.final_lr_share + (1 - config.final_lr_share) * share);
}

}  // namespace attnlab
