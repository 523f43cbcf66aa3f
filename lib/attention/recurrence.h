// What the recurrent mixers share: which tokens of a pass are real and to which document they belong, states
// carried from chunk to chunk, the short convolution and the token shift.
//
// Shapes: B batch, T tokens, C chunks of L tokens, Y numbers of a state that decay apart from each other, Z
// that share a decay.
#pragma once

#include <cstdint>
#include <utility>

#include "attention/product_type.h"
#include "state/sequence.h"
#include "tensor/torch.h"

namespace attnlab {

// While one lives, nothing is cast to half precision by autocast: states and decays need float32, because a
// decay near 1 loses its distance from 1 in bfloat16.
class FullPrecision {
 public:
  FullPrecision();

 private:
  c10::impl::ExcludeDispatchKeyGuard no_autocast_;
};
// float32, or float64 where x has that.
torch::Tensor in_full(const torch::Tensor& x);

// Which tokens of a pass count, and which state each of them may see.
struct Segments {
  torch::Tensor valid_BT;  // bool; undefined: all
  // int64 [B or 1, T]: how many documents have begun in this pass, up to and with this token. A token sees
  // those with its own number, and the state from before the pass where that is 0. Undefined: 0 everywhere.
  torch::Tensor ids_BT;

  static Segments of(const Sequence& sequence);
  // x with zeros at padded places; x_BTx [B, T, …] or, with `dim` 2, [B, heads, T, …].
  torch::Tensor only_valid(const torch::Tensor& x, int64_t dim = 1) const;
};

// bool, where documents begin, of numbers as in Segments.
torch::Tensor beginnings(const torch::Tensor& ids_BT);

// x with `missing` zeros behind the last in `dim`; x itself where none are missing.
torch::Tensor padded_behind(const torch::Tensor& x, int64_t dim, int64_t missing);

// log decays [.., L] → exp(Σ_{j<l≤i} g_l) for j ≤ i, else 0: [.., L, L]. What is masked is masked before the
// exponential, where it would overflow and poison gradients.
torch::Tensor decay_matrix(const torch::Tensor& log_decay_L);
// bool [.., L, L]: i may see j, i.e. j ≤ i (with `strict` j < i) and, where numbers are given, in one document.
torch::Tensor causal_mask(int64_t L, const torch::Tensor& ids_L, torch::Device device, bool strict = false);

// S_c = exp(a_c) S_{c-1} + X_c over chunks, with S_{-1} given: all S_{c-1} (before each chunk), and the last.
//   X [B, G, Y, C, Z], a [B, G, Y, C] (undefined: nothing decays), before [B, G, Y, Z] (undefined: 0)
// `ids_BC`: the document number at each chunk's end; what has another number does not pass. In groups of
// chunks, all at once as matrix products; then groups as chunks are, so that nothing waits for C steps and no
// C × C matrix is made.
struct CarriedStates {
  torch::Tensor before_BGYCZ, last_BGYZ;
};
CarriedStates carry_states(const torch::Tensor& X_BGYCZ, const torch::Tensor& a_BGYC,
                           const torch::Tensor& ids_BC, const torch::Tensor& before_BGYZ);

// S_{c+1} = M_c S_c + X_c over chunks, S_0 given: S_0 … S_{C-1}, and S_C. Two neighbouring chunks are one, M_1
// M_0 and M_1 X_0 + X_1; so again, until one is left: 2 log₂ C steps, each a product of all chunks at once.
struct CarriedMaps {
  torch::Tensor before_BNCKV, last_BNKV;
};
CarriedMaps carry_maps(const torch::Tensor& M_BNCKK, const torch::Tensor& X_BNCKV,
                       const torch::Tensor& before_BNKV);

// y_t = Σ_j w_j x_{t-K+1+j} + b for each channel (w [C, K]): the causal convolution of Mamba. `last` [B, K-1,
// C]: inputs before the first (undefined: 0). Inputs before a document's start count as 0. x in any format, y
// in full precision; on a GPU, where nothing stands before the first, in a kernel (kernels/short_conv.h).
struct Convolved {
  torch::Tensor y_BTC, last_BKC;
};
Convolved short_convolution(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK,
                            const torch::Tensor& bias_C, const torch::Tensor& last_BKC,
                            const Segments& segments);

// x_{t-1}, 0 where a document begins; `last` [B, 1, D] stands before the first (undefined: 0).
torch::Tensor shifted(const torch::Tensor& x_BTD, const torch::Tensor& last_B1D, const Segments& segments);

}  // namespace attnlab
