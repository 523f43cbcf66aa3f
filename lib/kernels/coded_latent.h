// A latent whose tokens are kept as codes, as attend_latent_query reads it.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// A token's first R numbers are code · scale, with a scale for each group of neighbours; the r behind them are
// as they are. B sequences, P ≥ S tokens; the tensors may be views with any strides over B and P.
struct CodedLatent {
  torch::Tensor codes_BPR;   // int8, or fp8 e4m3
  torch::Tensor scales_BPg;  // g = R / group
  torch::Tensor rest_BPr;
  // int32 [B]: token s of a sequence stands in row s - gap, and is none where that is negative; undefined: s.
  torch::Tensor gaps_B;
};

}  // namespace attnlab
