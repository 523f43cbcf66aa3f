// Gated retention (arXiv 2405.05254, equation 6): per head n with KV head g
//   γ_t = sigmoid(w_n · x_t)^{1/16},   S_t = γ_t S_{t-1} + k_t v_tᵀ,   o_t = S_tᵀ q_t / √H,
// q and k turned; an RMS norm of each head without weights, a gate silu(W_G x), and W_O. Kept: S, N·H·H
// numbers.
#pragma once

#include "attention/attention.h"
#include "attention/recurrence.h"

namespace attnlab {

class GatedRetention final : public Mixer {
 public:
  explicit GatedRetention(const AttentionShape& shape);
  StateLayout state_layout() const override;
  double forward_flops_per_token(int64_t T) const override;
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "q_norm", "g_proj", "o_proj"};
  }

 protected:
  torch::Tensor mix(const MixerInput& input) override;

 private:
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr}, g_proj_{nullptr},
      gt_proj_{nullptr};
  QkNorm norm_;
};

// GQA's projections; the decay's weights 0 (γ = 2^{-1/16} everywhere), the gate random and small.
TensorMap gated_retention_from_gqa(const AttentionShape& shape, const GqaWeights& gqa);

}  // namespace attnlab
