#include "attention/attend_latent.h"

#include <limits>

#include "attention/attend.h"
#include "attention/wide_product.h"
#include "core/errors.h"
#include "kernels/latent_query.h"

namespace attnlab {
// On a GPU heads of R + rope numbers are too wide for torch's fused kernels: there is one of our own, and two
// products where it does not fit. On a CPU the fused kernels take such heads, and are up to a third faster than
// two products (8 sequences of 2049 tokens), never much slower.
torch::Tensor attend_latent(const torch::Tensor& q_BNW, const torch::Tensor& latent_BPW, int64_t S, int64_t R,
                            const torch::Tensor& mask_B1TS, const ScoreForm& form) {
  ATTNLAB_CHECK(form.scale > 0);
  const bool gradients = torch::GradMode::is_enabled() && (q_BNW.requires_grad() || latent_BPW.requires_grad());
  if (fits_latent_query(q_BNW, latent_BPW, R))
    return attend_latent_query({.q_BNW = q_BNW,
                                .latent_BPW = latent_BPW,
                                .S = S,
                                .R = R,
                                .mask_B11S = mask_B1TS,
                                .scale = form.scale,
                                .softcap = form.softcap,
                                .pages_Bp = {}});
  if (q_BNW.is_cuda() && form.softcap <= 0 && !gradients)
    return attend_latent_products(q_BNW, latent_BPW, S, R, mask_B1TS, form.scale);
  // The CPU's fused kernel wants values as wide as keys: what is summed of the last W - R numbers is dropped.
  const auto latent_B1SW = latent_BPW.narrow(1, 0, S).unsqueeze(1);
  return attend(q_BNW.unsqueeze(2), latent_B1SW, latent_B1SW, mask_B1TS, form).squeeze(2).narrow(-1, 0, R);
}

torch::Tensor attend_latent(const torch::Tensor& q_BNW, const CodedLatent& latent, int64_t S,
                            const torch::Tensor& mask_B1TS, const ScoreForm& form) {
  ATTNLAB_CHECK(form.scale > 0);
  return attend_latent_query({.q_BNW = q_BNW,
                              .latent_BPW = {},
                              .S = S,
                              .R = latent.codes_BPR.size(2),
                              .mask_B11S = mask_B1TS,
                              .scale = form.scale,
                              .softcap = form.softcap,
                              .pages_Bp = {},
                              .coded = latent});
}

// All P tokens take part, with weights of 0 behind S: at an S that is odd the products alone would take five
// times as long (H200, 16 sequences of 8193 tokens in bfloat16: 7.0 and 6.7 ms for 32 layers, against 1.5
// and 1.2).
torch::Tensor attend_latent_products(const torch::Tensor& q_BNW, const torch::Tensor& latent_BPW, int64_t S,
                                     int64_t R, const torch::Tensor& mask_B1TS, double scale) {
  const torch::NoGradGuard no_grad;
  const auto dtype = latent_BPW.scalar_type();
  const int64_t B = q_BNW.size(0), N = q_BNW.size(1), P = latent_BPW.size(1);
  const auto scores_BNP = torch::empty({B, N, P}, latent_BPW.options().dtype(product_type(latent_BPW)));
  scaled_product(scores_BNP, q_BNW.to(dtype), latent_BPW.transpose(1, 2), scale);
  constexpr auto never = -std::numeric_limits<double>::infinity();
  if (P > S) scores_BNP.narrow(-1, S, P - S).fill_(never);
  if (mask_B1TS.defined()) scores_BNP.narrow(-1, 0, S).masked_fill_(mask_B1TS.squeeze(1).logical_not(), never);
  const auto weights_BNP = torch::softmax(scores_BNP, -1).to(dtype);
  return torch::bmm(weights_BNP, latent_BPW.narrow(-1, 0, R));
}

}  // namespace attnlab
