// `claims` of exp.yaml in a plan: controls that are added, and the seal.
#pragma once

#include <vector>

#include "compare/planned_config.h"
#include "experiment/plan/plan.h"
#include "experiment/plan/settings.h"

namespace attnlab {

// Adds what claims.add names where the tree lacks it: untrained_base sets eval.before; same_training adds an
// arm `gqa_control`, the base's own form; chosen_rate makes every plain train.lr a choice of a third, once and
// three times that rate on two seeds that are not reported. Throws InputError.
void add_controls(Node& root, const std::vector<int64_t>& seeds);

// Takes out of the plan's tree the claims of its file that `settings` (a size's, --set's) leave without an arm
// or without what they are measured by, with a warning each. `written`: the tree before the settings. Claims
// that a setting gives itself stay, and so do those that name what the file lacks: seal_claims refuses them.
void leave_out_claims(Plan& plan, const Node& written, const std::vector<Setting>& settings);

// The claims of a plan whose runs are made, with the hash of their configs (but for `device` and
// `train.save_model`, which change no result, and rates that are still to be chosen). Throws InputError, too
// for a metric that no run measures. `file`: a claims file (experiments/claims.yaml) or nothing; its tests of
// runs that say which difference `matters`, and whose experiment, arms and metric are this plan's, are planned,
// too. Nothing without claims.
std::optional<SealedClaims> seal_claims(const Plan& plan, const std::vector<int64_t>& seeds,
                                        const std::filesystem::path& file);

}  // namespace attnlab
