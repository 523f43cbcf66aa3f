// The conversion of a GQA layer into DeepSeek's form (mla_deepseek.h), stage by stage. Each stage takes what
// the one before gave, and calibration as the model after that stage sees it.
#pragma once

#include <functional>

#include "attention/gqa_weights.h"
#include "attention/mla_deepseek.h"
#include "attention/spectral.h"

namespace attnlab {

// The mean over calibration tokens of the RMS of y = W x + b, or of 1 / RMS.
using MeanRms = std::function<double(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse)>;
// As if inputs had mean 0 and covariance I (white_moment).
double white_rms(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse);

// The conversion in stages. Each takes what the stage before gave, and calibration as that model sees it.
struct RotatedKeys {
  torch::Tensor rotation;  // P [G·H, G·H], float64 (rorope.h)
  double rope_energy = 0;  // share of the keys' energy in the numbers that will keep rotary position
};
RotatedKeys rotate_keys(const AttentionShape& shape, const MlaDeepseek::Config& config, const GqaWeights& gqa,
                        const SecondMoment& moment);
// GQA with rotated keys, all numbers with rotary: the tensors of mla_v2 with one group, not absorbed.
TensorMap rotated_layer(const AttentionShape& shape, const GqaWeights& gqa, const torch::Tensor& rotation);
// Rotary removed from all but the first numbers: this variant at full rank, queries not compressed, no norms.
TensorMap partial_rope_layer(const AttentionShape& shape, const MlaDeepseek::Config& config,
                             const GqaWeights& gqa, const torch::Tensor& rotation);
// Σ z zᵀ of the latents z = [turned keys without rotary; values] of that layer, from Σ y yᵀ (float64) of the
// keys and values y = [k; v] of the GQA layer.
torch::Tensor latent_moment(const AttentionShape& shape, const MlaDeepseek::Config& config,
                            const torch::Tensor& rotation, const torch::Tensor& key_value_moment);
struct CompressedLayer {
  TensorMap tensors;  // of the variant with this config and latent_norm neutral
  double balance_ratio = 1;
  double kv_energy_kept = 1, q_energy_kept = 1;
};
// `partial`: what partial_rope_layer gave. The result has no norms.
CompressedLayer compress_layer(const AttentionShape& shape, const MlaDeepseek::Config& config,
                               const GqaWeights& gqa, const torch::Tensor& rotation, const TensorMap& partial,
                               const SecondMoment& moment);
// Calibrated norms: first with weight 1, then with the latents' mean RMS, so that normed latents are as large
// as they were on average. The published code takes the mean of 1/RMS of all rows, the rotary ones included,
// from a model whose norms have weight 1.
TensorMap unit_norm_layer(const MlaDeepseek::Config& config, const TensorMap& compressed);
TensorMap norm_layer(const MlaDeepseek::Config& config, const TensorMap& unit, const MeanRms& rms);

}  // namespace attnlab
