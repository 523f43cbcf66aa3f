#include "attention/shared_rotary.h"

#include <fmt/format.h>

#include "attention/attention.h"
#include "attention/rotary.h"

namespace attnlab {
namespace {

// Rows of pairs that are neighbours (DeepSeek's layout) as halves: [.., r, x].
torch::Tensor halves_of_rows(const torch::Tensor& rows_rx) {
  return pairs_to_halves(rows_rx.transpose(-1, -2)).transpose(-1, -2);
}

// Numbers of a KV head that turn in the base, as RoRoPE's fold. A part of the base's heads may turn only.
RopeFold shared_fold(const AttentionShape& shape, const GatheredRotary& rotary) {
  return {.n_kv_heads = shape.n_kv_heads,
          .head_dim = turning_width(shape),
          .freqfold = rotary.freqfold,
          .collapse = rotary.collapse};
}

}  // namespace

int64_t gathered_width(const AttentionShape& shape, const GatheredRotary& rotary) {
  return shared_fold(shape, rotary).rope_dim();
}

bool keeps_rotary(const AttentionShape& shape, const GatheredRotary& rotary) {
  return shape.n_kv_heads == 1 && rotary.collapse == 1 && rotary.freqfold == 1;
}

std::optional<BadInput> shared_rotary_problem(const AttentionShape& shape, const GatheredRotary& rotary) {
  const auto [freqfold, collapse] = rotary;
  AttentionShape whole = shape;
  whole.rotary_dim = 0;  // a part may turn
  if (auto removal = rope_removal_problem(whole)) return removal;
  const int64_t half = turning_width(shape) / 2;
  if (half % collapse != 0)
    return BadInput{.key = "collapse",
                    .found = fmt::format("{}", collapse),
                    .expected = fmt::format("a divisor of {}, half of what turns", half)};
  if (half % freqfold != 0 || freqfold % collapse != 0)
    return BadInput{
        .key = "freqfold",
        .found = fmt::format("{}", freqfold),
        .expected = fmt::format("a divisor of {}, half of what turns, and a multiple of collapse = {}", half,
                                collapse)};
  return std::nullopt;
}

torch::Tensor rows_with_bias(const torch::Tensor& weight, const torch::Tensor& bias) {
  const auto rows = weight.to(torch::kFloat64);
  return bias.defined() ? torch::cat({rows, bias.to(torch::kFloat64).unsqueeze(1)}, 1) : rows;
}

torch::Tensor moment_of_rows(const torch::Tensor& rows_nx, int64_t D, const SecondMoment& moment) {
  return moment(rows_nx.narrow(1, 0, D), rows_nx.size(1) > D ? rows_nx.select(1, D) : torch::Tensor());
}

TurningApart turning_apart(const AttentionShape& shape, const GqaWeights& gqa, const GatheredRotary& rotary,
                           const SecondMoment& moment) {
  const RopeFold fold = shared_fold(shape, rotary);
  const int64_t N = shape.n_heads, G = shape.n_kv_heads, H = shape.head_dim, M = shape.heads_per_kv();
  const int64_t turning = fold.head_dim, r = fold.rope_dim();
  const auto k_GHx = rows_with_bias(gqa.k_weight, gqa.k_bias).unflatten(0, {G, H});
  const auto turning_k = k_GHx.narrow(1, 0, turning).flatten(0, 1);  // [G·turning, x]
  const auto of_keys = moment_of_rows(turning_k, shape.d_model, moment);
  const auto rotation = rorope_rotation(fold_halves(of_keys, fold), fold);
  const auto P_r = rotation.index_select(0, rope_first_order(fold).to(rotation.device())).narrow(0, 0, r);

  TurningApart out;
  const auto kept = torch::matmul(P_r, turning_k);
  const auto left = (turning_k - torch::matmul(P_r.t(), kept)).unflatten(0, {G, turning});
  out.nope_GHx = torch::cat({left, k_GHx.narrow(1, turning, H - turning)}, 1);
  out.k_rope_rx = halves_of_rows(kept);
  out.v_GHx = rows_with_bias(gqa.v_weight, gqa.v_bias).unflatten(0, {G, H});
  const auto energy = (torch::matmul(P_r, of_keys) * P_r).sum();
  out.rope_energy = (energy / of_keys.trace().clamp_min(1e-300)).item<double>();

  const auto q_NHx = rows_with_bias(gqa.q_weight, gqa.q_bias).unflatten(0, {N, H});
  // Head n reads the rows of its own KV head: [N, turning, r].
  const auto up_Nhr = P_r.t().unflatten(0, {G, turning}).repeat_interleave(M, 0);
  out.q_rope_Nrx = halves_of_rows(torch::matmul(up_Nhr.transpose(1, 2), q_NHx.narrow(1, 0, turning)));
  const double lost = shape.rotary_factor * shape.rotary_factor;
  out.q_NHx = torch::cat({lost * q_NHx.narrow(1, 0, turning), q_NHx.narrow(1, turning, H - turning)}, 1);
  return out;
}

void store_rows(TensorMap& out, const std::string& name, const torch::Tensor& rows_nx, int64_t D,
                bool with_bias, const torch::Tensor& like) {
  out[name + ".weight"] = rows_nx.narrow(1, 0, D).to(like.options()).contiguous();
  if (!with_bias) return;
  const auto bias =
      rows_nx.size(1) > D ? rows_nx.select(1, D) : torch::zeros({rows_nx.size(0)}, rows_nx.options());
  out[name + ".bias"] = bias.to(like.options()).contiguous();
}

}  // namespace attnlab
