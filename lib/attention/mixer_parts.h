// What mixers with a state share beside the recurrence itself: the decay of Mamba, rotary position without the
// base's factor, and how new parameters start.
//
// Shapes: B batch, T tokens, N heads, H head_dim.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "attention/gqa_weights.h"
#include "attention/mixer.h"
#include "attention/recurrence.h"

namespace attnlab {

// Why a base can't be given a mixer with a state, if so: MLA already, a window, a cap on scores, and, where the
// mixer has no place for them, norms of query and key heads.
std::optional<BadInput> state_base_problem(const AttentionShape& shape, bool carries_norms);

// Δ = softplus(dt + bias) and the log decay Δ · -exp(A_log), per head: dt [.., N].
torch::Tensor mamba_step(const torch::Tensor& dt_N, const torch::Tensor& bias_N);
torch::Tensor mamba_log_decay(const torch::Tensor& dt_N, const torch::Tensor& bias_N,
                              const torch::Tensor& A_log_N);

// Rotary position of the new tokens on heads [B, N, T, H], with cos and sin divided by the base's factor on
// them (YaRN): a recurrence has scores of its own.
torch::Tensor turned_bare(const torch::Tensor& x_BNTH, const MixerInput& input, double rotary_factor);
// What that factor a does to the base's scores, a², in the queries' weights (or their norm's) instead, for the
// numbers that turn.
void take_up_rotary_factor(const AttentionShape& shape, TensorMap& tensors);

// Normal numbers (float64), the same for the same name and layer.
torch::Tensor start_noise(torch::IntArrayRef sizes, double deviation, const std::string& name, int64_t layer);
// Mamba-2's: A uniform in [1, 16], softplus(dt bias) log-uniform in [0.001, 0.1]. {A_log, dt_bias} [n],
// float64.
std::pair<torch::Tensor, torch::Tensor> usual_decays(int64_t n, int64_t layer);
// x with softplus(x) = y.
torch::Tensor inverse_softplus(const torch::Tensor& y);
// silu(x) = 1: a gate that starts open.
inline constexpr double kOpenSilu = 1.2784645427610738;
// √d_model, at least 8: between the two matrices of a small correction.
int64_t default_lora_rank(const AttentionShape& shape);
// 0 for the first layer, 1 for the last.
double relative_depth(const AttentionShape& shape);

}  // namespace attnlab
