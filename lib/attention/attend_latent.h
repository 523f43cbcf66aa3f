// Attention of one new token over a latent that all heads share: decoding in MLA's absorbed form.
#pragma once

#include "attention/shape.h"
#include "kernels/coded_latent.h"
#include "tensor/torch.h"

namespace attnlab {

// softmax(scale · q cᵀ) c[:R] over the first S tokens c of a sequence: keys are all W numbers of a token,
// values its first R. latent_BPW is a view of the cache, of P ≥ S tokens whose rest is finite
// (LayerCache::aligned); none of it is copied. `form.scale` must be given. mask_B1TS (T = 1): bool, true where
// the query may look; undefined: everywhere. Result [B, N, R].
torch::Tensor attend_latent(const torch::Tensor& q_BNW, const torch::Tensor& latent_BPW, int64_t S, int64_t R,
                            const torch::Tensor& mask_B1TS, const ScoreForm& form);
// The same over codes that fits_latent_query takes.
torch::Tensor attend_latent(const torch::Tensor& q_BNW, const CodedLatent& latent, int64_t S,
                            const torch::Tensor& mask_B1TS, const ScoreForm& form);

// The same as two products for each sequence, on a GPU with scores and softmax in float32 (then the weights are
// rounded to the latent's type). No cap, no gradients.
torch::Tensor attend_latent_products(const torch::Tensor& q_BNW, const torch::Tensor& latent_BPW, int64_t S,
                                     int64_t R, const torch::Tensor& mask_B1TS, double scale);

}  // namespace attnlab
