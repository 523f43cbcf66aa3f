#include "train/train_config.h"

namespace attnlab {

std::string why_idle(const TrainConfig& config, const std::string& key) {
  const std::string schedule = "schedule " + std::string(name_of(config.schedule));
  if (key == "final_lr_share" && config.schedule == Schedule::constant) return schedule + " never falls";
  if (key == "decay_share" && config.schedule != Schedule::warmup_stable_decay)
    return schedule + " is not warmup_stable_decay";
  return "";
}

std::string why_idle(const DistillConfig& config, const std::string& key) {
  if (key == "beta" && config.loss != Divergence::jsd)
    return "loss " + std::string(name_of(config.loss)) + " is not jsd";
  if (key == "top_k_form" && config.top_k == 0) return "top_k 0 tells all tokens apart";
  if (key == "layer_weight" && config.layers == LayerMatch::none) return "layers is none";
  return "";
}

std::optional<BadInput> train_problem(const TrainConfig& config) {
  if (!config.distill) return std::nullopt;
  const DistillConfig& distill = *config.distill;
  if (distill.top_k > 0 && !fits(distill.top_k_form, distill.loss))
    return BadInput{.key = "distill.top_k_form",
                    .found = std::string(name_of(distill.top_k_form)),
                    .expected = "tail_bucket or renormalised: the others are forms of forward_kl"};
  if (distill.layers == LayerMatch::attention_output && config.activation_checkpointing)
    return BadInput{.key = "distill.layers",
                    .found = "attention_output with activation_checkpointing",
                    .expected = "hidden or none: what recomputed layers hold inside can't be compared"};
  return std::nullopt;
}

}  // namespace attnlab
