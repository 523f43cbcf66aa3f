#include "convert/care_transform.h"

#include <algorithm>

#include "attention/care_layer.h"
#include "convert/rank_allocation.h"

namespace attnlab {
namespace {

class CareTransform final : public Transform {
 public:
  CareTransform(const ModelForm& source, const ConversionStep& step)
      : source_(source), base_(source.config), target_(step.variant().get<Care>()), layers_(step.layers) {
    plan();
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {{target_, layers_}}; }

  // C has D directions, and W C Wᵀ, of which the factors are, no more than G·H.
  int64_t numbers_to_estimate() const override {
    return stages_[0].calibrated ? std::min(base_.d_model, full_rank()) : 0;
  }

  bool has_open_settings() const override {
    return target_.allocation == RankAllocation::energy && target_.layers.keys.empty() && !loses_nothing();
  }

  void prepare(const ModelSource& source, const ConversionData& data,
               const ConversionProgress& progress) override {
    if (!has_open_settings()) return;
    target_.layers = choose_ranks(source, target_, layers_, data, progress);
    plan();
  }

 private:
  TensorMap cut(const MixerTask& task, LayerFacts& facts) const {
    const AttentionShape shape = base_.attention_shape(task.layer);
    const GqaWeights gqa = gqa_weights(task.before);
    const LatentWidths widths = care_widths(shape, target_);
    auto layer = care_layer(shape, widths, gqa, damped_moment(task.calibration, gqa.k_weight, gqa.k_bias),
                            damped_moment(task.calibration, gqa.v_weight, gqa.v_bias));
    facts["k_rank"] = static_cast<double>(widths.keys);
    facts["v_rank"] = static_cast<double>(widths.values);
    facts["k_energy_kept"] = layer.k_energy_kept;
    facts["v_energy_kept"] = layer.v_energy_kept;
    return std::move(layer.tensors);
  }

  void plan() {
    stages_ = {{.name = "compress",
                .does = "low rank of keys and of values",
                .form = with_layers(source_, layers_, target_),
                .exact = loses_nothing(),
                .calibrated = target_.covariance && !loses_nothing(),
                .convert = of_mixers(
                    layers_, [this](const MixerTask& task, LayerFacts& facts) { return cut(task, facts); })}};
  }

  int64_t full_rank() const { return base_.n_kv_heads * base_.head_dim; }
  bool loses_nothing() const { return Care::is_exact(base_.attention_shape(), target_); }

  ModelForm source_;
  DecoderConfig base_;
  Care::Config target_;
  std::vector<int64_t> layers_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_care_transform(const ModelForm& source, const ConversionStep& step,
                                               const TransformOptions&) {
  for (const int64_t layer : step.layers)
    if (const auto problem = variant_problem(source.config.attention_shape(layer), step.variant()))
      throw InputError(*problem);
  return std::make_unique<CareTransform>(source, step);
}

}  // namespace attnlab
