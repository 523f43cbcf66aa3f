// The layer of tpa.h in its general form, with what the public code has beside it (tensorgi/TPA), and its
// start.
#pragma once

#include "attention/attention.h"
#include "attention/spectral.h"
#include "attention/tpa.h"

namespace attnlab {

struct TpaForm {
  int64_t q_rank = 0, k_rank = 1, v_rank = 1;  // q_rank 0: queries as GQA has them
  bool contextual = true;                      // W_A
  bool factor_bias = true;                     // b_A
  bool head_norm = false;                      // RMS norm of each head's output
};

class TpaAttention final : public Attention {
 public:
  TpaAttention(const AttentionShape& shape, const TpaForm& form);

  StateLayout state_layout() const override;
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "q_heads", "q_rows", "head_norm", "o_proj"};
  }

 protected:
  torch::Tensor attend(AttentionPass& pass) override;
  int64_t pair_width() const override { return 2 * shape_.n_heads * shape_.head_dim; }

 private:
  // A [B, T, N, R] of every token, or [N, R] of all; and B [B, R, T, H].
  struct Factor {
    int64_t rank = 0;
    Linear heads{nullptr}, rows{nullptr};
    torch::Tensor constant_NR;
  };
  Factor factor(const std::string& name, int64_t rank, bool rows_bias);
  torch::Tensor heads_of(const Factor& factor, const torch::Tensor& x_BTD);
  torch::Tensor rows_of(const Factor& factor, const torch::Tensor& x_BTD);
  // A B / R: [B, N, S, H].
  static torch::Tensor product(const torch::Tensor& heads, const torch::Tensor& rows_BRSH);
  // What is looked at of keys or values, kept in the slots from `slot` on.
  torch::Tensor remembered(AttentionPass& pass, const Factor& factor, bool turns, size_t& slot);

  TpaForm form_;
  Linear q_proj_{nullptr}, o_proj_{nullptr};
  Factor q_, k_, v_;
  RmsNorm head_norm_{nullptr};
};

// Head factors and rows of W (with its bias) at this rank: the leading directions U of the KV heads' Gram
// matrix over inputs, A = R · E U with E the repetition to query heads, B = Uᵀ W. `lost`: the discarded share.
struct HeadFactors {
  torch::Tensor heads_NR, rows_RHx;  // float64
  double lost = 0;
};
HeadFactors head_factors(const AttentionShape& shape, const torch::Tensor& weight, const torch::Tensor& bias,
                         int64_t rank, const SecondMoment& moment);
TensorMap tpa_from_moments(const AttentionShape& shape, const Tpa::Config& config, const GqaWeights& gqa,
                           const SecondMoment& moment);

}  // namespace attnlab
