// Training loss by step, smoothed.
#pragma once

#include "curves.h"

namespace attnlab {

struct SmoothedLoss {
  size_t window = 1;                       // rows of the centred moving mean, the same in all curves
  std::vector<std::vector<Curve>> curves;  // by sweep point: mean over seeds with the range over seeds
};

// Of the steps that all seeds of an arm have; rows so near an end that their window would be cut are left out.
SmoothedLoss smoothed_loss(const RunSet& runs);

// "moving mean of 7 rows", or nothing.
std::string smoothing_note(const SmoothedLoss& smooth);

}  // namespace attnlab
