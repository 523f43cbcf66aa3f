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
  // `rotary_dim` numbers of each head turn.
  Rotary(int64_t rotary_dim, double theta, const std::optional<RopeScaling>& scaling);

  // Sequences longer than this have other frequencies (longrope); 0: the frequencies never change.
  int64_t switch_length() const { return switch_length_; }
  bool is_long(int64_t length) const { return switch_length_ > 0 && length > switch_length_; }

  // cos and sin of position × frequency. `lengths`, [B] or [B, T]: how long each row's, or each position's,
  // sequence is; only longrope looks at it (undefined: all short). Angles are float32.
  RotaryTables tables(const torch::Tensor& positions_BT, const torch::Tensor& lengths,
                      torch::ScalarType dtype) const;

 private:
  // float32, the second undefined without a switch. They move to where tables are asked for and stay there: a
  // recorded step (train/step_graph.h) copies nothing from the host.
  mutable torch::Tensor frequencies_h_, long_frequencies_h_;
  double table_factor_ = 1;
  int64_t switch_length_ = 0;
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
