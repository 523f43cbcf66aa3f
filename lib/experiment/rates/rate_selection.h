// Which learning rate an arm's selection runs choose.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiment/plan/plan.h"

namespace attnlab {

// A run that needs no more work: it is complete, or it is there to choose a rate and its loss was not finite.
bool is_settled(const PlannedRun& run);

struct RateChoice {
  double rate = 0;
  std::string
      note;  // "0.0003 of 0.0001 (3.2500), 0.0003 (3.1200), 0.001 (diverged) by heldout_loss on seeds 100, 101"
};
// From the files of the selection's runs; nothing, if one of them is not settled. The rate with the lowest mean
// over seeds; of equal ones the lower. A rate at which a run diverged is never taken. Throws RunError if all
// did.
std::optional<RateChoice> choose_rate(const Plan& plan, const RateSelection& selection);

// Fills in the rates that are chosen already.
void resolve_rates(Plan& plan);
// Puts the choice into a run.
void resolve_rate(PlannedRun& run, const RateChoice& choice);

}  // namespace attnlab
