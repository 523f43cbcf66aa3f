// Rotary position gathered in few numbers that all heads share: the first step from GQA to forms whose keys
// turn in one place only (gta.h, gla.h, gqla.h).
//
// Shapes: N query heads, G KV heads, H head_dim, r numbers that turn, x = D, or D + 1 with biases as last
// column.
#pragma once

#include <optional>

#include "attention/gathered_rotary.h"
#include "attention/gqa_weights.h"
#include "attention/rorope.h"
#include "attention/spectral.h"

namespace attnlab {

// Why a base can't be taken apart so, if so: MLA already, norms of query and key heads, longrope; freqfold or
// collapse that don't divide.
std::optional<BadInput> shared_rotary_problem(const AttentionShape& shape, const GatheredRotary& rotary);

// [W | b] in float64; W alone without b.
torch::Tensor rows_with_bias(const torch::Tensor& weight, const torch::Tensor& bias);
// The second moment of rows [n, x] times the layer's inputs.
torch::Tensor moment_of_rows(const torch::Tensor& rows_nx, int64_t D, const SecondMoment& moment);

// With P_r the rows of RoRoPE's rotation that keep rotary position: q·k = q_rope·RoPE(k_rope) + q·nope_g, where
// k_rope = P_r k and nope_g is what P_r leaves, rotated back to KV head g. float64.
struct TurningApart {
  torch::Tensor q_NHx;       // as it meets nope: times the factor that the base's cos and sin give to scores
  torch::Tensor q_rope_Nrx;  // halves apart
  torch::Tensor nope_GHx, v_GHx;
  torch::Tensor k_rope_rx;  // halves apart
  double rope_energy = 0;   // share of the turning keys' energy in k_rope
};
TurningApart turning_apart(const AttentionShape& shape, const GqaWeights& gqa, const GatheredRotary& rotary,
                           const SecondMoment& moment);

// Puts rows [n, x] under a name as weight and, if `with_bias`, bias, in the type of `like`.
void store_rows(TensorMap& out, const std::string& name, const torch::Tensor& rows_nx, int64_t D,
                bool with_bias, const torch::Tensor& like);

}  // namespace attnlab
