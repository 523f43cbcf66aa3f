#include "convert/weights_transform.h"

#include <algorithm>
#include <map>

#include "attention/gqa_weights.h"
#include "convert/layer_tensors.h"
#include "core/errors.h"

namespace attnlab {
namespace {

class WeightsTransform final : public Transform {
 public:
  WeightsTransform(const ModelForm& source, const ConversionStep& step) : step_(step) {
    const DecoderConfig config = source.config;
    const VariantConfig& to = step.variant();
    stages_.push_back(
        {.name = variant_name(to),
         .does = "weights rewritten",
         .form = with_layers(source, step.layers, to),
         .exact = variant_is_exact(config.attention_shape(), to),
         .convert = of_mixers(step.layers, [this, config, to](const MixerTask& task, LayerFacts&) {
           auto gqa = gqa_weights(task.before);
           if (const auto found = kv_.find(task.layer); found != kv_.end()) gqa = found->second;
           return convert_from_gqa(config.attention_shape(task.layer), to, gqa);
         })});
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {step_}; }
  // Keys and values that are the mean of several layers'.
  void prepare(const ModelSource& source, const ConversionData&, const ConversionProgress&) override {
    for (const int64_t layer : step_.layers) {
      const auto of = variant_kv_layers(source.config().attention_shape(layer), step_.variant());
      if (of.size() == 1) continue;
      std::vector<GqaWeights> layers;
      for (const int64_t other : of) layers.push_back(gqa_weights(mixer_of(source.layer(other))));
      kv_[layer] = with_mean_kv(layers);
    }
  }

 private:
  ConversionStep step_;
  std::map<int64_t, GqaWeights> kv_;  // by the layers that start from a mean
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_weights_transform(const ModelForm& source, const ConversionStep& step,
                                                  const TransformOptions&) {
  for (const int64_t layer : step.layers)
    if (const auto problem = variant_problem(source.config.attention_shape(layer), step.variant()))
      throw InputError(*problem);
  return std::make_unique<WeightsTransform>(source, step);
}

}  // namespace attnlab
