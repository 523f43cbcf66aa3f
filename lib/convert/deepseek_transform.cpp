#include "convert/deepseek_transform.h"

#include <fmt/format.h>

#include "attention/deepseek_stages.h"
#include "convert/deepseek_export.h"
#include "convert/freqfold.h"
#include "convert/qk_norm.h"

namespace attnlab {
namespace {

class DeepseekTransform final : public Transform {
 public:
  DeepseekTransform(const DecoderConfig& base, const MlaDeepseek::Config& target,
                    const TransformOptions& options)
      : base_(base), plain_(without_qk_norm(base)), target_(target), options_(options) {
    plan();
  }

  const std::vector<Stage>& stages() const override { return stages_; }
  VariantConfig settled() const override { return target_; }

  int64_t numbers_to_estimate() const override {
    const AttentionShape shape = plain_.attention_shape();
    const int64_t queries = target_.q_lora_rank > 0 ? shape.n_heads * shape.head_dim : 0;
    return std::max(full_kv_rank(shape, target_), queries);
  }

  bool has_open_settings() const override { return target_.freqfold == "auto"; }

  void prepare(const ModelSource& source, const ConversionData& data,
               const ConversionProgress& progress) override {
    if (!has_open_settings()) return;
    target_.freqfold = fmt::format("{}", choose_freqfold(source, plain_, target_, data, progress));
    plan();
  }

  std::string own_layout_because() const override {
    if (stages_.back().name == "export" || !options_.exported) return "";
    return describe(*export_problem(stages_.back().form));
  }

  TensorMap convert(size_t stage, const LayerTask& task, LayerFacts& facts) override {
    const std::string& name = stages_[stage].name;
    if (name == "fold_qk_norm")
      return fold_qk_norm(base_.attention_shape(), gqa_of(task.base), *task.calibration);
    if (name == "rotate") return rotate(task, facts);
    if (name == "remove_rope") return partial_rope_layer(plain_.attention_shape(), target_, gqa_, rotation_);
    if (name == "compress") return compress(task, facts);
    if (name == "unit_norm") return unit_norm_layer(target_, task.before);
    if (name == "latent_norm") return latent_norm(task);
    return export_layer(stages_[stage - 1].form, task.before, task.norm, options_.dtype);
  }

 private:
  void plan() {
    MlaDeepseek::Config partial{.q_lora_rank = 0, .freqfold = target_.freqfold, .collapse = target_.collapse};
    const MlaV2::Config rotated{.groups = 1, .rope = GroupRope::repeat, .absorb = false};
    MlaDeepseek::Config bare = target_;
    bare.latent_norm = LatentNorm::neutral;
    stages_.clear();
    if (traits_of(base_.family).qk_norm)
      stages_.push_back({.name = "fold_qk_norm",
                         .does = "norms of query and key heads as factors",
                         .form = {plain_, Gqa::Config{}},
                         .calibrated = true});
    stages_.push_back({.name = "rotate",
                       .does = "RoRoPE: keys rotated across KV heads",
                       .form = {plain_, rotated},
                       .exact = freqfold_of(target_) == 1,
                       .calibrated = true});
    stages_.push_back({.name = "remove_rope",
                       .does = "rotary kept by the strongest numbers alone",
                       .form = {plain_, partial}});
    stages_.push_back({.name = "compress",
                       .does = "joint PCA of keys and values",
                       .form = {plain_, bare},
                       .exact = loses_nothing(),
                       .calibrated = true});
    if (target_.latent_norm == LatentNorm::calibrated) plan_norms();
    const DecoderForm& compressed = stages_.back().form;
    if (!options_.exported || export_problem(compressed)) return;
    stages_.push_back(
        {.name = "export", .does = "as stock DeepSeek-V3", .form = exported_form(compressed), .exact = true});
  }

  // The published code calibrates norms in a model that has them, with weight 1.
  void plan_norms() {
    if (target_.follow == Follow::published_code)
      stages_.push_back({.name = "unit_norm", .does = "norms of weight 1", .form = {plain_, target_}});
    stages_.push_back({.name = "latent_norm",
                       .does = "norms that keep the latents' size on average",
                       .form = {plain_, target_},
                       .calibrated = true});
  }

  TensorMap latent_norm(const LayerTask& task) const {
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

  TensorMap rotate(const LayerTask& task, LayerFacts& facts) {
    gqa_ = gqa_of(task.before);  // with norms folded, where the base has them
    const auto keys = rotate_keys(plain_.attention_shape(), target_, gqa_, moment_of(*task.calibration));
    rotation_ = keys.rotation;
    facts["rope_energy"] = keys.rope_energy;
    return rotated_layer(plain_.attention_shape(), gqa_, rotation_);
  }

  TensorMap compress(const LayerTask& task, LayerFacts& facts) {
    auto layer = compress_layer(plain_.attention_shape(), target_, gqa_, rotation_, task.before,
                                moment_of(*task.calibration));
    facts["balance_ratio"] = layer.balance_ratio;
    facts["kv_energy_kept"] = layer.kv_energy_kept;
    if (target_.q_lora_rank > 0) facts["q_energy_kept"] = layer.q_energy_kept;
    return std::move(layer.tensors);
  }

  DecoderConfig base_, plain_;
  MlaDeepseek::Config target_;
  TransformOptions options_;
  std::vector<Stage> stages_;
  GqaWeights gqa_;          // of the layer that is being converted
  torch::Tensor rotation_;  // of its keys
};

}  // namespace

std::unique_ptr<Transform> make_deepseek_transform(const DecoderConfig& base, const VariantConfig& target,
                                                   const TransformOptions& options) {
  const auto& config = std::get<MlaDeepseek::Config>(target);
  const bool folded = options.approximate_qk_norm && traits_of(base.family).qk_norm;
  const DecoderConfig judged = folded ? without_qk_norm(base) : base;
  if (const auto problem = MlaDeepseek::problem(judged.attention_shape(), config)) throw InputError(*problem);
  return std::make_unique<DeepseekTransform>(base, config, options);
}

}  // namespace attnlab
