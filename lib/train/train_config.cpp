#include "train/train_config.h"

namespace attnlab {

std::string why_idle(const TrainConfig& config, const std::string& key) {
  const std::string schedule = "schedule " + std::string(name_of(config.schedule));
  if (key == "final_lr_share" && config.schedule == Schedule::constant) return schedule + " never falls";
  if (key == "decay_share" && config.schedule != Schedule::warmup_stable_decay)
    return schedule + " is not warmup_stable_decay";
  return "";
}

}  // namespace attnlab
