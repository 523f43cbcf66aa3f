#include "convert/care_transform.h"

#include <algorithm>

#include "convert/rank_allocation.h"

namespace attnlab {
namespace {

class CareTransform final : public Transform {
 public:
  CareTransform(const DecoderConfig& base, const Care::Config& target) : base_(base), target_(target) {
    plan();
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  VariantConfig settled() const override { return target_; }

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
    target_.layers = choose_ranks(source, target_, data, progress);
    plan();
  }

  TensorMap convert(size_t, const LayerTask& task, LayerFacts& facts) override {
    const AttentionShape shape = base_.attention_shape(task.layer);
    const GqaWeights gqa = gqa_of(task.before);
    const LatentWidths widths = care_widths(shape, target_);
    auto layer = care_layer(shape, widths, gqa, damped_moment(task.calibration, gqa.k_weight, gqa.k_bias),
                            damped_moment(task.calibration, gqa.v_weight, gqa.v_bias));
    facts["k_rank"] = static_cast<double>(widths.keys);
    facts["v_rank"] = static_cast<double>(widths.values);
    facts["k_energy_kept"] = layer.k_energy_kept;
    facts["v_energy_kept"] = layer.v_energy_kept;
    return std::move(layer.tensors);
  }

 private:
  void plan() {
    stages_ = {{.name = "compress",
                .does = "low rank of keys and of values",
                .form = {base_, target_},
                .exact = loses_nothing(),
                .calibrated = target_.covariance && !loses_nothing()}};
  }

  int64_t full_rank() const { return base_.n_kv_heads * base_.head_dim; }
  bool loses_nothing() const {
    const auto full = [&](int64_t rank) { return rank == full_rank(); };
    if (target_.layers.keys.empty()) return full(target_.rank.value_or(full_rank()));
    return std::all_of(target_.layers.keys.begin(), target_.layers.keys.end(), full) &&
           std::all_of(target_.layers.values.begin(), target_.layers.values.end(), full);
  }

  DecoderConfig base_;
  Care::Config target_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_care_transform(const DecoderConfig& base, const VariantConfig& target,
                                               const TransformOptions&) {
  const auto& config = std::get<Care::Config>(target);
  if (const auto problem = Care::problem(base.attention_shape(), config)) throw InputError(*problem);
  return std::make_unique<CareTransform>(base, config);
}

}  // namespace attnlab
