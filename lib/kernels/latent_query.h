// Decoding in MLA's absorbed form (arXiv 2405.04434): a new token's queries over a latent that all heads share,
// which is read once, in a kernel of its own: on a GPU, where the build has CUDA.
#pragma once

#include "kernels/coded_latent.h"
#include "tensor/torch.h"

namespace attnlab {

// Whether attend_latent_query takes these: a GPU of compute capability 8.0 or more, a latent of bfloat16 whose
// tokens' numbers lie side by side at multiples of 16 bytes, no gradient asked for, R and W multiples of 16,
// R ≤ 512, and W at most 64 more than R rounded up to a multiple of 128.
bool fits_latent_query(const torch::Tensor& q_BNW, const torch::Tensor& latent_BPW, int64_t R);
// The same of codes: int8 under scales of bfloat16, or fp8 under those of float32, the rest in bfloat16; groups
// are multiples of 8, and addresses, strides and the bytes of a token's parts multiples of 4.
bool fits_latent_query(const torch::Tensor& q_BNW, const CodedLatent& latent);

struct LatentQuery {
  torch::Tensor q_BNW, latent_BPW;  // P ≥ S
  int64_t S = 0;                    // tokens
  int64_t R = 0;                    // of W numbers of a token, those that are summed
  torch::Tensor mask_B11S;  // bool [B or 1, 1, 1, S], true where the query may look; undefined: everywhere
  double scale = 1, softcap = 0;  // 0: none
  // Undefined, or int32 [B, ⌈S / 64⌉]: in which page of 64 tokens those of a sequence stand; then the latent is
  // [pages, 64, W], all of it finite.
  torch::Tensor pages_Bp;
  // Instead of latent_BPW and pages: of device memory the codes are read, and decoded as they come, to the bits
  // that they stand for in bfloat16.
  CodedLatent coded = {};
};
// softmax(cap(scale · q cᵀ)) c[:R] over the first S tokens c, [B, N, R] in bfloat16; 0 where a query may look
// nowhere. Scores, softmax and sums are float32, the weights between them are rounded to bfloat16; of the
// tokens a query does not look at, the numbers must be finite. Tokens before the first and behind the last that
// a row may look at are not read.
torch::Tensor attend_latent_query(const LatentQuery& query);

}  // namespace attnlab
