// How GTA (gta.h) starts from GQA, by what its inputs are like.
#pragma once

#include "attention/gta.h"
#include "attention/shared_rotary.h"

namespace attnlab {

// Gta::from_gqa with principal directions over inputs of this second moment. `freqfold`: neighbouring rotary
// frequencies that are taken as one; 0: as few as the thinning needs.
TensorMap gta_from_moments(const AttentionShape& shape, const Gta::Config& config, const GqaWeights& gqa,
                           const SecondMoment& moment, int64_t freqfold = 0);

}  // namespace attnlab
