#include "convert/mha2mla_transform.h"

#include "attention/gqa.h"
#include "attention/mha2mla_stages.h"
#include "attention/rope_selection.h"
#include "convert/qk_norm.h"

namespace attnlab {
namespace {

class Mha2MlaTransform final : public Transform {
 public:
  Mha2MlaTransform(const ModelForm& source, const ConversionStep& step)
      : source_(source),
        base_(source.config),
        plain_(without_qk_norm(base_)),
        target_(step.variant().get<Mha2Mla>()),
        layers_(step.layers) {
    Mha2Mla::Config selected = target_;
    selected.kv_lora_rank.reset();
    const AttentionShape shape = plain_.attention_shape();
    const bool all_keep_rotary = rope_dim_of(shape, target_) == shape.head_dim;
    if (traits_of(base_.family).qk_norm)
      stages_.push_back({.name = "fold_qk_norm",
                         .does = "norms of query and key heads as factors",
                         .form = form_with(Gqa::Config{}),
                         .calibrated = true,
                         .convert = of_mixers(layers_, [this](const MixerTask& task, LayerFacts&) {
                           return fold_qk_norm(base_.attention_shape(), gqa_weights(task.base),
                                               *task.calibration);
                         })});
    stages_.push_back({.name = "select_rope",
                       .does = "rotary kept by selected frequencies alone",
                       .form = form_with(selected),
                       .exact = all_keep_rotary,
                       .calibrated = target_.select == RopeSelect::norm && !all_keep_rotary,
                       .convert = of_mixers(layers_, [this](const MixerTask& task, LayerFacts& facts) {
                         return select(task, facts);
                       })});
    stages_.push_back({.name = "compress",
                       .does = "joint SVD of keys and values",
                       .form = form_with(target_),
                       .exact = Mha2Mla::latent_rank(shape, target_) == full_kv_rank(shape, target_),
                       .convert = of_mixers(layers_, [this](const MixerTask& task, LayerFacts& facts) {
                         return compress(task, facts);
                       })});
  }

  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {{target_, layers_}}; }

 private:
  ModelForm form_with(const VariantConfig& variant) const {
    ModelForm form = source_;
    form.config = plain_;
    return with_layers(std::move(form), layers_, variant);
  }

  TensorMap compress(const MixerTask& task, LayerFacts& facts) const {
    auto layer = joint_svd_layer(task.before, Mha2Mla::latent_rank(plain_.attention_shape(), target_));
    facts["kv_energy_kept"] = layer.kv_energy_kept;
    return std::move(layer.tensors);
  }

  PairStrengths strengths(const MixerTask& task, const GqaWeights& gqa) const {
    const AttentionShape shape = plain_.attention_shape();
    if (!task.calibration) return weight_strengths(shape, gqa);
    const auto sums = task.calibration->sum([&](const torch::Tensor& x_PD, const AddPart& add) {
      const auto of = [&](const torch::Tensor& weight, const torch::Tensor& bias) {
        return torch::linear(x_PD, weight.to(x_PD.options()), bias.defined() ? bias.to(x_PD.options()) : bias);
      };
      const auto part = token_strengths(shape, of(gqa.q_weight, gqa.q_bias), of(gqa.k_weight, gqa.k_bias));
      add("products", part.products);
      add("energies", part.energies);
    });
    return {.products = sums.at("products"), .energies = sums.at("energies")};
  }

  TensorMap select(const MixerTask& task, LayerFacts& facts) const {
    const AttentionShape shape = plain_.attention_shape();
    const GqaWeights gqa = gqa_weights(task.before);  // with norms folded, where the base has them
    const auto of = strengths(task, gqa);
    const auto frequencies =
        select_frequencies(shape, rope_dim_of(shape, target_), target_.select, of.products);
    const auto kept = of.energies.gather(1, frequencies.to(of.energies.device())).sum();
    facts["rope_energy"] = (kept / of.energies.sum()).item<double>();
    return select_rope_layer(shape, gqa, frequencies);
  }

  ModelForm source_;
  DecoderConfig base_, plain_;
  Mha2Mla::Config target_;
  std::vector<int64_t> layers_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_mha2mla_transform(const ModelForm& source, const ConversionStep& step,
                                                  const TransformOptions& options) {
  require_convertible(source, step, options);
  return std::make_unique<Mha2MlaTransform>(source, step);
}

}  // namespace attnlab
