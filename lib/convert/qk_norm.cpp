#include "convert/qk_norm.h"

#include <fmt/format.h>

#include "core/errors.h"

namespace attnlab {
namespace {

// The factors of all heads' rows [heads·H].
torch::Tensor factors(const torch::Tensor& weight, const torch::Tensor& bias, const torch::Tensor& norm,
                      const CalibrationInputs& inputs) {
  const int64_t H = norm.numel();
  std::vector<torch::Tensor> parts;
  for (int64_t first = 0; first < weight.size(0); first += H) {
    const auto head_bias = bias.defined() ? bias.narrow(0, first, H) : bias;
    parts.push_back(norm * inputs.mean_rms(weight.narrow(0, first, H), head_bias, /*inverse=*/true));
  }
  return torch::cat(parts);
}

}  // namespace

bool can_fold_qk_norm(const DecoderConfig& config) {
  const FamilyTraits& traits = traits_of(config.family);
  return traits.qk_norm && !traits.norm_plus_one;
}

DecoderConfig without_qk_norm(const DecoderConfig& config) {
  DecoderConfig plain = config;
  if (can_fold_qk_norm(config)) plain.family = Family::llama;
  return plain;
}

void require_convertible(const ModelForm& source, const ConversionStep& step, const TransformOptions& options) {
  const bool folds = options.approximate_qk_norm && can_fold_qk_norm(source.config);
  if (folds && step.layers.size() != source.layers.size())
    throw InputError(BadInput{.key = "layers",
                              .found = fmt::format("{} of {} layers", step.layers.size(), source.layers.size()),
                              .expected = "all layers: norms of query and key heads are folded in everywhere"});
  const DecoderConfig judged = folds ? without_qk_norm(source.config) : source.config;
  for (const int64_t layer : step.layers)
    if (const auto problem = variant_problem(judged.attention_shape(layer), step.variant()))
      throw InputError(*problem);
}

TensorMap fold_qk_norm(const AttentionShape& shape, const GqaWeights& gqa, const CalibrationInputs& inputs) {
  ATTNLAB_CHECK(shape.qk_norm);
  GqaWeights plain = gqa;
  const auto fold = [&](torch::Tensor& weight, torch::Tensor& bias, torch::Tensor& norm) {
    const auto factor = factors(weight, bias, norm, inputs);
    weight = weight * factor.unsqueeze(1);
    if (bias.defined()) bias = bias * factor;
    norm = torch::Tensor();
  };
  fold(plain.q_weight, plain.q_bias, plain.q_norm);
  fold(plain.k_weight, plain.k_bias, plain.k_norm);
  return all_projections(plain);
}

}  // namespace attnlab
