// train.lr: {sweep: […], select_by: heldout_loss, seeds: […]} in a plan.
#pragma once

#include <optional>

#include "experiment/plan/plan.h"

namespace attnlab {

// The rule, if train.lr of a run's tree is a map. Throws InputError, too if a seed of it is reported.
std::optional<RateRule> read_rate_rule(const Node& tree, const std::vector<int64_t>& reported_seeds);

// The tree with the first rate of the sweep in the map's place; without a map, as it is.
Node with_plain_rate(Node tree);

// One of the runs that choose: evaluated at its end alone, and only by what is chosen by.
PlannedRun selecting_run(PlannedRun run, double rate, size_t selection);

// Throws InputError (at `node`, the rule's) if such runs do not measure what is chosen by.
void check_selectable(const Node& node, const RateRule& rule, const RunConfig& config);

}  // namespace attnlab
