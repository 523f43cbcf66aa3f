#include "convert/freqfold.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/deepseek_stages.h"
#include "convert/calibrated_layers.h"
#include "convert/layer_tensors.h"
#include "convert/outputs.h"
#include "convert/qk_norm.h"

namespace attnlab {
namespace {

struct Candidate {
  MlaDeepseek::Config config;
  LayerStream stream;  // held-out text through the model with rotary removed
};

std::vector<Candidate> candidates_of(const ModelSource& source, const FoldedLayers& folded,
                                     const LayerStream& heldout) {
  std::vector<Candidate> candidates;
  const int64_t half = folded.plain.head_dim / 2, collapse = folded.config.collapse;
  for (int64_t m = collapse; m <= half && half % m == 0; m *= 2) {
    const MlaDeepseek::Config partial{.freqfold = fmt::format("{}", m), .collapse = collapse};
    ModelForm form = source.form;
    form.config = folded.plain;
    candidates.push_back({partial, heldout.branch(with_layers(std::move(form), folded.layers, partial))});
  }
  return candidates;
}

// All candidates' next layer, which is converted. The moment of the keys is computed once.
void advance_converted(std::vector<Candidate>& candidates, const DecoderConfig& base,
                       const DecoderConfig& plain, int64_t layer, const TensorMap& tensors,
                       const CalibrationInputs& inputs, Precision precision) {
  auto attention = mixer_of(tensors);
  if (traits_of(base.family).qk_norm)
    attention = fold_qk_norm(base.attention_shape(), gqa_weights(attention), inputs);
  const GqaWeights gqa = gqa_weights(attention);
  const auto moment = inputs.second_moment(gqa.k_weight, gqa.k_bias);
  const auto same = [&](const torch::Tensor&, const torch::Tensor&) { return moment; };
  const AttentionShape shape = plain.attention_shape();
  for (auto& candidate : candidates) {
    const auto rotation = rotate_keys(shape, candidate.config, gqa, same).rotation;
    candidate.stream.advance(
        layer, with_mixer(tensors, partial_rope_layer(shape, candidate.config, gqa, rotation)), precision);
  }
}

// On held-out text. One candidate has nothing to be compared with.
std::vector<double> perplexities_of(const std::vector<Candidate>& candidates, const ModelSource& source,
                                    const ConversionData& data) {
  if (candidates.size() < 2) return std::vector<double>(candidates.size());
  const OutputHead head(source.form, source.outer, source.devices, data.heldout_precision);
  std::vector<HeadedStream> models;
  for (const auto& candidate : candidates) models.push_back({head, candidate.stream});
  std::vector<double> out;
  for (const auto& step : compare(models, data.heldout)) {
    if (out.empty()) out.push_back(step.from_first.perplexity_before);
    out.push_back(step.from_first.perplexity_after);
  }
  return out;
}

}  // namespace

int64_t choose_freqfold(const ModelSource& source, const FoldedLayers& folded, const ConversionData& data,
                        const ConversionProgress& progress) {
  const LayerStream heldout(source.form, data.heldout, source.embedding(), source.devices);
  auto candidates = candidates_of(source, folded, heldout);
  const CalibratedPass pass{.what = "choosing freqfold", .text = data.calibration, .precision = data.precision};
  visit_layers(source, pass, progress,
               [&](int64_t layer, const TensorMap& tensors, const CalibrationInputs* inputs) {
                 const auto& converted = folded.layers;
                 if (std::find(converted.begin(), converted.end(), layer) != converted.end())
                   advance_converted(candidates, source.config(), folded.plain, layer, tensors, *inputs,
                                     data.heldout_precision);
                 else
                   for (auto& candidate : candidates)
                     candidate.stream.advance(layer, tensors, data.heldout_precision);
               });
  const auto perplexities = perplexities_of(candidates, source, data);
  int64_t best = folded.config.collapse;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i > 0 && !(perplexities[i] < perplexities[i - 1])) break;
    best = freqfold_of(candidates[i].config);
  }
  return best;
}

}  // namespace attnlab
