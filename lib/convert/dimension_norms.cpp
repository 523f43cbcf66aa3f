#include "convert/dimension_norms.h"

#include "attention/gqa_weights.h"
#include "attention/joint_pca.h"
#include "convert/calibrated_layers.h"
#include "convert/layer_tensors.h"
#include "core/errors.h"

namespace attnlab {
namespace {

torch::Tensor norms_of(const torch::Tensor& energies, int64_t tokens) {
  return (energies.clamp_min(0) / static_cast<double>(tokens)).sqrt();
}

// Energies of P k, those that keep rotary position first.
torch::Tensor rotated_energies(const torch::Tensor& key_moment, const RopeFold& fold) {
  const auto rotation = rorope_rotation(fold_halves(key_moment, fold), fold);
  const auto energies = (torch::matmul(rotation, key_moment) * rotation).sum(1);
  return energies.index_select(0, rope_first_order(fold).to(energies.device()));
}

}  // namespace

KeyNorms key_norms(const torch::Tensor& key_moment, int64_t tokens, const RopeFold& fold) {
  return {.before = norms_of(key_moment.diagonal(), tokens),
          .rotated = norms_of(rotated_energies(key_moment, fold), tokens)};
}

BalanceNorms balance_norms(const torch::Tensor& key_moment, const torch::Tensor& value_moment, int64_t tokens,
                           const RopeFold& fold) {
  const int64_t keys = key_moment.size(0) - fold.rope_dim();
  const auto of_keys = rotated_energies(key_moment, fold).narrow(0, fold.rope_dim(), keys);
  const auto of_values = value_moment.diagonal();
  const double ratio = balance_ratio(torch::diag(torch::cat({of_keys, of_values})), keys, 1, 0);
  const auto k = norms_of(of_keys, tokens), v = norms_of(of_values, tokens);
  return {.k_nope_before = k, .k_nope_after = k / ratio, .v_before = v, .v_after = v};
}

void visit_moments(const ModelSource& base, const ConversionData& data, const ConversionProgress& progress,
                   const std::function<void(const LayerMoments&)>& see) {
  ATTNLAB_CHECK(!traits_of(base.config().family).qk_norm);
  const torch::NoGradGuard no_grad;
  const CalibratedPass pass{.what = "norms", .text = data.calibration, .precision = data.precision};
  visit_layers(base, pass, progress,
               [&](int64_t layer, const TensorMap& tensors, const CalibrationInputs* inputs) {
                 const GqaWeights gqa = gqa_weights(mixer_of(tensors));
                 see({.layer = layer,
                      .tokens = inputs->tokens(),
                      .keys = inputs->second_moment(gqa.k_weight, gqa.k_bias).cpu(),
                      .values = inputs->second_moment(gqa.v_weight, gqa.v_bias).cpu()});
               });
}

torch::Tensor gram_of(const torch::Tensor& weight) {
  const auto columns = weight.detach().to(torch::kCPU, torch::kFloat64);
  const auto lengths = columns.square().sum(0, true).sqrt();
  const auto unit = columns / torch::where(lengths > 0, lengths, torch::ones_like(lengths));
  return torch::matmul(unit.t(), unit);
}

}  // namespace attnlab
