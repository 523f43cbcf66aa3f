#include "convert/freqfold.h"

#include <fmt/format.h>

#include "attention/deepseek_stages.h"
#include "convert/outputs.h"
#include "convert/qk_norm.h"

namespace attnlab {
namespace {

struct Candidate {
  MlaDeepseek::Config config;
  LayerStream stream;  // held-out text through the model with rotary removed
};

std::vector<Candidate> candidates_of(const DecoderConfig& plain, const MlaDeepseek::Config& config,
                                     const LayerStream& heldout) {
  std::vector<Candidate> candidates;
  const int64_t half = plain.head_dim / 2;
  for (int64_t m = config.collapse; m <= half && half % m == 0; m *= 2) {
    const MlaDeepseek::Config partial{.freqfold = fmt::format("{}", m), .collapse = config.collapse};
    candidates.push_back({partial, heldout.branch({plain, partial})});
  }
  return candidates;
}

TensorMap attention_of(const TensorMap& layer) {
  TensorMap attention;
  for (const auto& [name, tensor] : layer)
    if (name.starts_with("self_attn.")) attention[name.substr(10)] = tensor;
  return attention;
}

// All candidates' next layer. The moment of the keys is computed once.
void advance_all(std::vector<Candidate>& candidates, const DecoderConfig& base, const DecoderConfig& plain,
                 int64_t layer, const TensorMap& tensors, const CalibrationInputs& inputs) {
  auto attention = attention_of(tensors);
  if (traits_of(base.family).qk_norm)
    attention = fold_qk_norm(base.attention_shape(), gqa_of(attention), inputs);
  const GqaWeights gqa = gqa_of(attention);
  const auto moment = inputs.second_moment(gqa.k_weight, gqa.k_bias);
  const auto same = [&](const torch::Tensor&, const torch::Tensor&) { return moment; };
  const AttentionShape shape = plain.attention_shape();
  for (auto& candidate : candidates) {
    const auto rotation = rotate_keys(shape, candidate.config, gqa, same).rotation;
    TensorMap converted = tensors;
    for (const auto& [name, tensor] : partial_rope_layer(shape, candidate.config, gqa, rotation))
      converted["self_attn." + name] = tensor;
    candidate.stream.advance(layer, converted);
  }
}

}  // namespace

int64_t choose_freqfold(const ModelSource& source, const DecoderConfig& plain,
                        const MlaDeepseek::Config& config, const ConversionData& data,
                        const ConversionProgress& progress) {
  const DecoderForm base{source.config, Gqa::Config{}};
  LayerStream calibration(base, data.calibration, source.embedding(), source.device);
  const LayerStream heldout(base, data.heldout, source.embedding(), source.device);
  auto candidates = candidates_of(plain, config, heldout);
  const int64_t layers = source.config.n_layers;
  for (int64_t layer = 0; layer < layers; ++layer) {
    progress("choosing freqfold", layer, layers);
    const TensorMap tensors = source.layer(layer);
    const CalibrationInputs inputs(calibration, tensors.at("input_layernorm.weight"));
    advance_all(candidates, source.config, plain, layer, tensors, inputs);
    if (layer + 1 < layers) calibration.advance(layer, tensors, data.precision);
  }
  const OutputHead head(source);
  int64_t best = config.collapse;
  double lowest = 0;
  for (const auto& candidate : candidates) {
    const double perplexity = head.perplexity(candidate.stream, data.heldout);
    if (lowest > 0 && !(perplexity < lowest)) break;
    lowest = perplexity;
    best = freqfold_of(candidate.config);
  }
  return best;
}

}  // namespace attnlab
