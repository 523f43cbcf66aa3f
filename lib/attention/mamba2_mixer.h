// The operator of Mamba-2 (arXiv 2405.21060) and the layer that it makes of GQA's projections (mamba2.h).
#pragma once

#include "attention/attention.h"
#include "attention/gated_scan.h"
#include "attention/mamba2.h"

namespace attnlab {

// h_t = exp(-e^{A_log} Δ_t) h_{t-1} + Δ_t x_t B_tᵀ,  y_t = h_t C_t + D x_t, per head: float32 or float64.
struct Mamba2Scan {
  torch::Tensor x_BNTP, B_BNTS, C_BNTS;  // N heads; B and C as their groups have them, repeated
  torch::Tensor step_BTN, A_log_N, D_N;  // Δ, behind softplus and clamp; D may be undefined
  torch::Tensor state_BNSP;              // before the first token; undefined: 0
};
struct Mamba2Scanned {
  torch::Tensor y_BNTP, state_BNSP;
};
Mamba2Scanned mamba2_scan(const Mamba2Scan& scan, const Segments& segments, int64_t L = 64);

class Mamba2Mixer final : public Mixer {
 public:
  Mamba2Mixer(const AttentionShape& shape, const Mamba2::Config& config);

  StateLayout state_layout() const override;
  double forward_flops_per_token(int64_t T) const override;
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "q_norm", "z_proj", "norm", "o_proj"};
  }

 protected:
  torch::Tensor mix(const MixerInput& input) override;

 private:
  // x, B, C and dt of the pass, the first three behind the convolution.
  struct Parts {
    torch::Tensor x_BTW, B_BTW, C_BTW, step_BTN;
  };
  Parts parts(const MixerInput& input, const Segments& segments);
  torch::Tensor gated(const torch::Tensor& y_BTNH, const torch::Tensor& z_BTW);

  Mamba2::Config config_;
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr}, z_proj_{nullptr},
      dt_proj_{nullptr};
  QkNorm qk_norm_;
  torch::Tensor conv_weight_CK_, conv_bias_C_, A_log_N_, D_N_, dt_bias_N_, norm_W_;
};

}  // namespace attnlab
