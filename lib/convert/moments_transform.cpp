#include "convert/moments_transform.h"

#include <algorithm>
#include <numeric>

#include "attention/grouped_latent.h"
#include "attention/gta_start.h"
#include "attention/tpa_attention.h"

namespace attnlab {
namespace {

// The variant with whole latents, where this one's are cut: what can be measured in between.
std::optional<VariantConfig> with_whole_latents(const VariantConfig& variant) {
  if (const auto* gla = variant.get_if<Gla>(); gla && gla->latent_width) {
    Gla::Config whole = *gla;
    whole.latent_width.reset();
    return whole;
  }
  if (const auto* gqla = variant.get_if<Gqla>(); gqla && gqla->kv_lora_rank) {
    Gqla::Config whole = *gqla;
    whole.kv_lora_rank.reset();
    return whole;
  }
  return std::nullopt;
}

TensorMap tell(GroupedLatents start, LayerFacts& facts) {
  facts["rope_energy"] = start.rope_energy;
  const double lost = std::accumulate(start.lost.begin(), start.lost.end(), 0.0);
  facts["kv_energy_kept"] = 1 - lost / static_cast<double>(start.lost.size());
  return std::move(start.tensors);
}

TensorMap start_of(const AttentionShape& shape, const VariantConfig& variant, const GqaWeights& gqa,
                   const SecondMoment& moment, LayerFacts& facts) {
  if (const auto* gla = variant.get_if<Gla>()) return tell(gla_from_moments(shape, *gla, gqa, moment), facts);
  if (const auto* gqla = variant.get_if<Gqla>())
    return tell(gqla_from_moments(shape, *gqla, gqa, moment), facts);
  if (const auto* gta = variant.get_if<Gta>()) return gta_from_moments(shape, *gta, gqa, moment);
  const auto& tpa = variant.get<Tpa>();
  const int64_t rank = Tpa::latent_rank(shape, tpa);
  facts["k_energy_kept"] = 1 - head_factors(shape, gqa.k_weight, gqa.k_bias, rank, moment).lost;
  facts["v_energy_kept"] = 1 - head_factors(shape, gqa.v_weight, gqa.v_bias, rank, moment).lost;
  return tpa_from_moments(shape, tpa, gqa, moment);
}

class MomentsTransform final : public Transform {
 public:
  MomentsTransform(const ModelForm& source, const ConversionStep& step)
      : source_(source), base_(source.config), step_(step) {
    if (const auto whole = with_whole_latents(step.variant()))
      add("gather_rotary", "rotary in numbers that all heads share", *whole);
    add("compress", "leading directions of keys and values", step.variant());
  }

  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {step_}; }
  // Of keys and values of all KV heads, of which no more than D directions differ.
  int64_t numbers_to_estimate() const override {
    return is_calibrated() ? std::min(base_.d_model, 2 * base_.n_kv_heads * base_.head_dim) : 0;
  }

 private:
  void add(const char* name, const char* does, const VariantConfig& variant) {
    const bool exact = variant_is_exact(base_.attention_shape(), variant);
    stages_.push_back(
        {.name = name,
         .does = does,
         .form = with_layers(source_, step_.layers, variant),
         .exact = exact,
         .calibrated = !exact,
         .convert = of_mixers(step_.layers, [this, variant](const MixerTask& task, LayerFacts& facts) {
           return convert(task, variant, facts);
         })});
  }

  // Each stage begins with the base's layer, whose inputs the stage before has changed.
  TensorMap convert(const MixerTask& task, const VariantConfig& variant, LayerFacts& facts) const {
    SecondMoment moment = white_moment;
    if (task.calibration)
      moment = [inputs = task.calibration](const torch::Tensor& weight, const torch::Tensor& bias) {
        return inputs->second_moment(weight, bias);
      };
    return start_of(base_.attention_shape(task.layer), variant, gqa_weights(task.base), moment, facts);
  }

  ModelForm source_;
  DecoderConfig base_;
  ConversionStep step_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_moments_transform(const ModelForm& source, const ConversionStep& step,
                                                  const TransformOptions&) {
  for (const int64_t layer : step.layers)
    if (const auto problem = variant_problem(source.config.attention_shape(layer), step.variant()))
      throw InputError(*problem);
  return std::make_unique<MomentsTransform>(source, step);
}

}  // namespace attnlab
