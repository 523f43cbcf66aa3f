// Linear attention as a mixer: GQA's projections, a feature map of queries and keys, and sums over the tokens
// before in place of a softmax (gated_scan.h).
//
//   S_t = e^{g_t} S_{t-1} + φ(k_t) v_tᵀ,  z_t likewise for 1,   o_t = S_tᵀ φ(q_t) / (z_tᵀ φ(q_t) + eps)
//
// g = 0, or with `decay` g = -exp(A_log) softplus(W_dt x + dt_bias) per head that keeps a state.
#pragma once

#include "attention/attention.h"
#include "attention/feature_map.h"
#include "attention/gated_scan.h"

namespace attnlab {

struct LinearForm {
  FeatureMapKind map = FeatureMapKind::hedgehog;
  int64_t map_rows = 0;        // rows of W; 0: head_dim
  bool by_query_head = false;  // keys have a map for each query head, so that there are as many states
  bool rotary = true;          // in front of the map
  bool decay = false;
  double eps = 1e-12;
};

// The form that a variant's options (visit_linear_options) ask for.
template <class Config>
LinearForm linear_form(const Config& config, bool decay) {
  return {.map = config.feature_map,
          .by_query_head = config.by_query_head,
          .rotary = config.rotary,
          .decay = decay,
          .eps = config.eps};
}

// elu(x) + 1: x + 1 above 0, eˣ below.
torch::Tensor elu_plus_one(const torch::Tensor& x);

// φ for some heads. W [heads, rows, H], for t2r b [heads, rows]; elu has neither.
class FeatureMapImpl : public torch::nn::Module {
 public:
  FeatureMapImpl(FeatureMapKind kind, int64_t heads, int64_t head_dim, int64_t rows);
  // [B, heads, T, H] → [B, heads, T, F], at least 1e-12 as LoLCATs has it.
  torch::Tensor forward(const torch::Tensor& x_BNTH);

  torch::Tensor weight, bias;

 private:
  FeatureMapKind kind_;
};
TORCH_MODULE(FeatureMap);

class LinearMixer final : public Mixer {
 public:
  LinearMixer(const AttentionShape& shape, const LinearForm& form);

  StateLayout state_layout() const override;
  double forward_flops_per_token(int64_t T) const override;
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "q_norm", "q_map", "o_proj"};
  }

 protected:
  torch::Tensor mix(const MixerInput& input) override;

 private:
  GatedScan scan_of(const MixerInput& input, const Segments& segments);

  LinearForm form_;
  int64_t states_, features_;
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr}, dt_proj_{nullptr};
  FeatureMap q_map_{nullptr}, k_map_{nullptr};
  QkNorm norm_;
  torch::Tensor A_log_, dt_bias_;
};

// The layer's start: GQA's projections, W = I (t2r: random), and Mamba-2's usual decays.
TensorMap linear_from_gqa(const AttentionShape& shape, const LinearForm& form, const GqaWeights& gqa);

}  // namespace attnlab
