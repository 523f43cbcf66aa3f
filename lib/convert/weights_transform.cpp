#include "convert/weights_transform.h"

#include <algorithm>

#include "attention/gqa_weights.h"
#include "core/errors.h"

namespace attnlab {
namespace {

class WeightsTransform final : public Transform {
 public:
  WeightsTransform(const ModelForm& source, const ConversionStep& step) : step_(step) {
    const DecoderConfig config = source.config;
    const VariantConfig to = step.variant();
    stages_.push_back({.name = variant_name(to),
                       .does = "weights rewritten",
                       .form = with_layers(source, step.layers, to),
                       .exact = variant_is_exact(config.attention_shape(), to),
                       .convert = of_mixers(step.layers, [config, to](const MixerTask& task, LayerFacts&) {
                         return convert_from_gqa(config.attention_shape(task.layer), to,
                                                 gqa_weights(task.before));
                       })});
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {step_}; }

 private:
  ConversionStep step_;
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
