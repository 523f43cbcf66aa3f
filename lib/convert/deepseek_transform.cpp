#include "convert/deepseek_transform.h"

#include <fmt/format.h>

#include "attention/deepseek_stages.h"
#include "attention/gqa.h"
#include "attention/mla_v2.h"
#include "convert/deepseek_export.h"
#include "convert/freqfold.h"
#include "convert/qk_norm.h"

namespace attnlab {
namespace {

class DeepseekTransform final : public Transform {
 public:
  DeepseekTransform(const ModelForm& source, const ConversionStep& step, const TransformOptions& options)
      : source_(source),
        base_(source.config),
        plain_(without_qk_norm(base_)),
        target_(step.variant().get<MlaDeepseek>()),
        layers_(step.layers),
        options_(options) {
    plan();
  }

  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {{target_, layers_}}; }

  int64_t numbers_to_estimate() const override {
    const AttentionShape shape = plain_.attention_shape();
    const int64_t queries = target_.q_lora_rank > 0 ? shape.n_heads * shape.head_dim : 0;
    return std::max(full_kv_rank(shape, target_), queries);
  }

  bool has_open_settings() const override { return target_.freqfold == "auto"; }

  void prepare(const ModelSource& source, const ConversionData& data,
               const ConversionProgress& progress) override {
    if (!has_open_settings()) return;
    target_.freqfold = fmt::format("{}", choose_freqfold(source, {plain_, target_, layers_}, data, progress));
    plan();
  }

  std::string own_layout_because() const override {
    if (!can_export() || stages_.back().name == "export") return "";
    return describe(*export_problem(stages_.back().form));
  }

 private:
  bool can_export() const { return options_.exported && layers_.size() == static_cast<size_t>(base_.n_layers); }

  // The source's form with these options in the layers that are converted.
  ModelForm form_with(const VariantConfig& variant) const {
    ModelForm form = source_;
    form.config = plain_;
    return with_layers(std::move(form), layers_, variant);
  }

  template <class Convert>
  LayerConversion mixers(Convert convert) {
    return of_mixers(layers_, [this, convert](const MixerTask& task, LayerFacts& facts) {
      return (this->*convert)(task, facts);
    });
  }

  void plan() {
    MlaDeepseek::Config partial{.q_lora_rank = 0, .freqfold = target_.freqfold, .collapse = target_.collapse};
    const MlaV2::Config rotated{.groups = 1, .rope = GroupRope::repeat, .absorb = false};
    MlaDeepseek::Config bare = target_;
    bare.latent_norm = LatentNorm::neutral;
    stages_.clear();
    if (traits_of(base_.family).qk_norm)
      stages_.push_back({.name = "fold_qk_norm",
                         .does = "norms of query and key heads as factors",
                         .form = form_with(Gqa::Config{}),
                         .calibrated = true,
                         .convert = mixers(&DeepseekTransform::fold)});
    stages_.push_back({.name = "rotate",
                       .does = "RoRoPE: keys rotated across KV heads",
                       .form = form_with(rotated),
                       .exact = freqfold_of(target_) == 1,
                       .calibrated = true,
                       .convert = mixers(&DeepseekTransform::rotate)});
    stages_.push_back({.name = "remove_rope",
                       .does = "rotary kept by the strongest numbers alone",
                       .form = form_with(partial),
                       .convert = mixers(&DeepseekTransform::remove_rope)});
    stages_.push_back({.name = "compress",
                       .does = "joint PCA of keys and values",
                       .form = form_with(bare),
                       .exact = loses_nothing(),
                       .calibrated = !in_one_pass(),
                       .convert = mixers(&DeepseekTransform::compress)});
    if (target_.latent_norm == LatentNorm::calibrated) plan_norms();
    const ModelForm compressed = stages_.back().form;
    if (!can_export() || export_problem(compressed)) return;
    const auto dtype = options_.dtype;
    stages_.push_back({.name = "export",
                       .does = "as stock DeepSeek-V3",
                       .form = exported_form(compressed),
                       .exact = true,
                       .convert = of_mixers(layers_, [compressed, dtype](const MixerTask& task, LayerFacts&) {
                         return export_layer(compressed, task.before, task.norm, dtype);
                       })});
  }

  // The published code calibrates norms in a model that has them, with weight 1.
  void plan_norms() {
    if (target_.follow == Follow::published_code)
      stages_.push_back({.name = "unit_norm",
                         .does = "norms of weight 1",
                         .form = form_with(target_),
                         .convert = mixers(&DeepseekTransform::unit_norm)});
    stages_.push_back({.name = "latent_norm",
                       .does = "norms that keep the latents' size on average",
                       .form = form_with(target_),
                       .calibrated = true,
                       .convert = mixers(&DeepseekTransform::latent_norm)});
  }

  TensorMap fold(const MixerTask& task, LayerFacts&) {
    return fold_qk_norm(base_.attention_shape(), gqa_weights(task.base), *task.calibration);
  }

  TensorMap unit_norm(const MixerTask& task, LayerFacts&) { return unit_norm_layer(target_, task.before); }

  TensorMap latent_norm(const MixerTask& task, LayerFacts&) {
    const auto unit =
        target_.follow == Follow::published_code ? task.before : unit_norm_layer(target_, task.before);
    return norm_layer(target_, unit, rms_of(*task.calibration));
  }

  static MeanRms rms_of(const CalibrationInputs& inputs) {
    return [&inputs](const torch::Tensor& weight, const torch::Tensor& bias, bool inverse) {
      return inputs.mean_rms(weight, bias, inverse);
    };
  }

  bool loses_nothing() const {
    const AttentionShape shape = plain_.attention_shape();
    const int64_t full = full_kv_rank(shape, target_), queries = shape.n_heads * shape.head_dim;
    return target_.kv_lora_rank.value_or(full) == full &&
           (target_.q_lora_rank == 0 || target_.q_lora_rank == queries);
  }

  static SecondMoment moment_of(const CalibrationInputs& inputs) {
    return [&inputs](const torch::Tensor& weight, const torch::Tensor& bias) {
      return inputs.second_moment(weight, bias);
    };
  }

  bool in_one_pass() const { return options_.calibrated_on == CalibratedOn::base; }

  TensorMap rotate(const MixerTask& task, LayerFacts& facts) {
    gqa_ = gqa_weights(task.before);  // with norms folded, where the base has them
    const auto keys =
        rotate_keys(plain_.attention_shape(), target_, gqa_,
                    in_one_pass() ? all_moments(*task.calibration) : moment_of(*task.calibration));
    rotation_ = keys.rotation;
    facts["rope_energy"] = keys.rope_energy;
    return rotated_layer(plain_.attention_shape(), gqa_, rotation_);
  }

  // Looks at all that the later stages need, too; gives the keys' part.
  SecondMoment all_moments(const CalibrationInputs& inputs) {
    const auto bias = gqa_.k_bias.defined() ? torch::cat({gqa_.k_bias, gqa_.v_bias}) : torch::Tensor();
    key_value_moment_ = inputs.second_moment(torch::cat({gqa_.k_weight, gqa_.v_weight}), bias);
    if (target_.q_lora_rank > 0) query_moment_ = inputs.second_moment(gqa_.q_weight, gqa_.q_bias);
    return [this](const torch::Tensor& weight, const torch::Tensor&) {
      return key_value_moment_.narrow(0, 0, weight.size(0)).narrow(1, 0, weight.size(0));
    };
  }

  // Of what compress_layer asks for: the latents, and queries where they are compressed.
  SecondMoment moments_of_base() const {
    return [this](const torch::Tensor& weight, const torch::Tensor&) {
      return weight.is_same(gqa_.q_weight)
                 ? query_moment_
                 : latent_moment(plain_.attention_shape(), target_, rotation_, key_value_moment_);
    };
  }

  TensorMap remove_rope(const MixerTask&, LayerFacts&) {
    return partial_rope_layer(plain_.attention_shape(), target_, gqa_, rotation_);
  }

  TensorMap compress(const MixerTask& task, LayerFacts& facts) {
    auto layer = compress_layer(plain_.attention_shape(), target_, gqa_, rotation_, task.before,
                                in_one_pass() ? moments_of_base() : moment_of(*task.calibration));
    facts["balance_ratio"] = layer.balance_ratio;
    facts["kv_energy_kept"] = layer.kv_energy_kept;
    if (target_.q_lora_rank > 0) facts["q_energy_kept"] = layer.q_energy_kept;
    return std::move(layer.tensors);
  }

  ModelForm source_;
  DecoderConfig base_, plain_;
  MlaDeepseek::Config target_;
  std::vector<int64_t> layers_;
  TransformOptions options_;
  std::vector<Stage> stages_;
  GqaWeights gqa_;                                 // of the layer that is being converted
  torch::Tensor rotation_;                         // of its keys
  torch::Tensor key_value_moment_, query_moment_;  // in one pass: of the base's keys and values, and queries
};

}  // namespace

std::unique_ptr<Transform> make_deepseek_transform(const ModelForm& source, const ConversionStep& step,
                                                   const TransformOptions& options) {
  require_convertible(source, step, options);
  return std::make_unique<DeepseekTransform>(source, step, options);
}

}  // namespace attnlab
