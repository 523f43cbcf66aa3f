// Which layer gets how many latent numbers (CARE, arXiv 2603.17946).
#pragma once

#include <vector>

#include "attention/care.h"
#include "convert/transform.h"
#include "tensor/torch.h"

namespace attnlab {

// What a matrix's directions hold: squared singular values of W √C, descending, float64 on the CPU.
struct LayerEnergies {
  torch::Tensor keys, values;
};

// Every matrix gets one number; then one more goes to the matrix whose next direction holds the largest share
// of its own matrix's energy, σ² / Σ σ², until `budget` numbers are given. Of equal shares the earlier layer's
// goes first, and keys before values. The paper spreads ranks greedily by singular spectra under a fixed
// budget; what is compared, and that keys and values share one budget, is our reading. `budget` is at least 2
// per layer, at most all directions.
LayerRanks allocate_ranks(const std::vector<LayerEnergies>& layers, int64_t budget);

// The second moment of y = W x + b over calibration inputs, with 1e-4 of the inputs' mean energy more in every
// direction of x, for those that the text leaves out: W (C + 1e-4 · mean(diag C) · I) Wᵀ. `inputs` null: C = I.
torch::Tensor damped_moment(const CalibrationInputs* inputs, const torch::Tensor& weight,
                            const torch::Tensor& bias);

// One pass through the base's layers, and allocate_ranks with 2 · rank numbers for each of the given ones; the
// others, which stay, are listed with `rank`. Calibration text is read where config.covariance says so.
LayerRanks choose_ranks(const ModelSource& source, const Care::Config& config,
                        const std::vector<int64_t>& layers, const ConversionData& data,
                        const ConversionProgress& progress);

}  // namespace attnlab
