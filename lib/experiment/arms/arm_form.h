// The form of an arm's model: the base with the arm's variant in every layer, or with one for each range.
#pragma once

#include "experiment/plan/experiment_config.h"
#include "model/model_form.h"

namespace attnlab {

// Throws InputError (keys "arms.NAME.…") for layers that the base doesn't have, that are named twice or not at
// all, and for a variant that can't be built with the base.
ModelForm arm_form(const ArmConfig& arm, const DecoderConfig& base);

// Throws InputError (keys "train.prune.…", "train.…") where an arm of this form can't be pruned so, or training
// is set in a way that masks don't go with.
void check_pruning_of(const RunConfig& config, const ModelForm& form);

// What stands for the arm's variant in files and messages: its name, or those of its layers.
std::string variant_text(const ArmConfig& arm);

}  // namespace attnlab
