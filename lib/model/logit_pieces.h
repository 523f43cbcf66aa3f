// Losses on logits h Wᵀ, in pieces: the logits of all positions never exist at once.
//
// Shapes: P positions, R positions of a piece, D d_model, V vocabulary.
#pragma once

#include <functional>

#include "tensor/torch.h"

namespace attnlab {

// In which format products are computed, and in which sums.
struct LogitFormats {
  torch::ScalarType product, sum;
};
// Products in the autocast format where autocast is on, all else in float32 (float64 for float64 inputs).
LogitFormats logit_formats(const torch::Tensor& hidden);

// One piece's share of the sums, a scalar or [n] of which the first is what is differentiated, and that one's
// gradient in the product h Wᵀ (undefined where none is asked for).
struct LogitPiece {
  torch::Tensor sums, dlogits_RV;
};
// From the product h Wᵀ of positions begin … begin + R.
using LogitPieceMaker = std::function<LogitPiece(torch::Tensor product_RV, int64_t begin, bool with_gradient)>;

// Σ over pieces, [n] or, for n = 0, a scalar; differentiable in its first number. hidden_PD [P, D], weight_VD
// [V, D]. `rows`: positions of a piece. Gradients are computed with the sums, from the same logits, so that
// nothing is computed twice; they are kept until backward: P·D and, if the weight is trained, V·D numbers.
torch::Tensor sum_logit_pieces(const torch::Tensor& hidden_PD, const torch::Tensor& weight_VD, int64_t n,
                               int64_t rows, const LogitPieceMaker& make);

// How many logits of `bytes` bytes a piece has on a device of so many bytes (0: a CPU): 2²⁵; on a GPU 2²⁸ to
// 2³⁰, the most that take no more than 1/32 of its memory. What is free at the moment has no say: sums over
// pieces have other last bits with pieces of another size, and a run that goes on must get its own.
int64_t logits_of_a_piece(int64_t device_bytes, int64_t bytes);
// Positions of a piece that make at most so many / `share` logits, at least 1.
int64_t rows_of_a_piece(const torch::Tensor& weight_VD, int64_t share = 1);

// cap(z) = c tanh(z / c) for c > 0, else z.
torch::Tensor soft_capped(const torch::Tensor& logits, double softcap);
// d / d cap(z) → d / d z, in place: times cap'(z) = 1 - (cap / c)².
void chain_softcap(torch::Tensor& gradient, const torch::Tensor& capped, double softcap);

}  // namespace attnlab
