// Rotary position (RoFormer, arXiv 2104.09864) and the scalings of its frequencies that released models use.
#pragma once

#include <cstdint>
#include <optional>

#include "attention/rope_scaling.h"
#include "state/sequence.h"
#include "tensor/torch.h"

namespace attnlab {

class Rotary {
 public:
  // `rotary_dim` numbers of each head turn. Where `of_dim` is a multiple of it, their frequencies are every
  // (of_dim / rotary_dim)-th of those that `of_dim` numbers have, scaled as those are; 0: of_dim is rotary_dim.
  Rotary(int64_t rotary_dim, double theta, const std::optional<RopeScaling>& scaling, int64_t of_dim = 0);

  // Sequences whose lengths have the same number here turn by the same frequencies: 0 up to original_positions,
  // above it 1 (longrope) or another one for each length (dynamic).
  int64_t frequencies_of(int64_t length) const;

  // cos and sin of position × frequency. `lengths`, [B] or [B, T]: how long each row's, or each position's,
  // sequence is, where that changes frequencies (undefined: all short). Angles are float32.
  RotaryTables tables(const torch::Tensor& positions_BT, const torch::Tensor& lengths,
                      torch::ScalarType dtype) const;

 private:
  // Those of sequences longer than switch_length_.
  torch::Tensor long_frequencies(const torch::Tensor& lengths_BT1) const;

  // float32, undefined where the type has none. They move to where tables are asked for and stay there: a
  // recorded step (train/step_graph.h) copies nothing from the host.
  mutable torch::Tensor frequencies_h_, long_frequencies_h_, exponents_h_;
  double table_factor_ = 1;
  int64_t switch_length_ = 0;  // 0: the frequencies never change
  // dynamic: θ grows to θ (growth_ L / switch_length_ - growth_ + 1)^power_.
  double theta_ = 0, growth_ = 0, power_ = 0;
};

// Tables without scaling, of one form for all rows.
RotaryTables rotary_tables(const torch::Tensor& positions_BT, int64_t rotary_dim, double theta,
                           torch::ScalarType dtype);

// x cos + rotate_half(x) sin, where rotate_half(x) = [-x2, x1], on the first numbers of each head, as many as
// the tables are wide; the rest passes. x_BNTH; tables [B or 1, T or 1, rotary_dim].
torch::Tensor apply_rotary(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                           const torch::Tensor& sin_BTH);

// The same for heads whose neighbours turn, not their halves (DeepSeek's layout): apply_rotary of
// pairs_to_halves(x), which leaves halves, without a copy. The tables are as wide as x.
torch::Tensor apply_rotary_to_pairs(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                                    const torch::Tensor& sin_BTH);

// Pairs (x0 x1)(x2 x3)… to halves (x0 x2 …)(x1 x3 …), over the last dimension: DeepSeek's layout to that of
// apply_rotary. Scores do not change, since queries and keys are reordered alike.
torch::Tensor pairs_to_halves(const torch::Tensor& x);

}  // namespace attnlab
