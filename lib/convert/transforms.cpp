#include <fmt/format.h>

#include <algorithm>

#include "convert/care_transform.h"
#include "convert/deepseek_transform.h"
#include "convert/gptq_transform.h"
#include "convert/layer_tensors.h"
#include "convert/mha2mla_transform.h"
#include "convert/moments_transform.h"
#include "convert/slice_transform.h"
#include "convert/transform.h"
#include "convert/weights_transform.h"
#include "core/errors.h"

namespace attnlab {
namespace {

void check_step(const ModelForm& source, const ConversionStep& step) {
  ATTNLAB_CHECK(!step.layers.empty());
  if (source.packing)
    throw InputError(BadInput{.key = "quantization_config",
                              .found = fmt::format("weights of {} bits", source.packing->bits),
                              .expected = "whole weights: convert first, quantise last"});
  for (const int64_t layer : step.layers) {
    if (layer < 0 || layer >= source.config.n_layers)
      throw InputError(BadInput{.key = "layers",
                                .found = fmt::format("layer {}", layer),
                                .expected = fmt::format("0 to {}", source.config.n_layers - 1)});
    if (!std::holds_alternative<VariantConfig>(step.to)) continue;
    if (variant_made_by(source.of(layer)) != MadeBy::base)
      throw InputError(BadInput{.key = "variant",
                                .found = fmt::format("{} in layer {}", variant_name(source.of(layer)), layer),
                                .expected = fmt::format("gqa, which {} is made from", target_name(step.to))});
  }
}

std::unique_ptr<Transform> make_step(const ModelForm& source, const ConversionStep& step,
                                     const TransformOptions& options) {
  check_step(source, step);
  if (const auto* gptq = std::get_if<GptqOptions>(&step.to)) return make_gptq_transform(source, step, *gptq);
  if (const auto* rtn = std::get_if<RtnOptions>(&step.to)) return make_rtn_transform(source, step, *rtn);
  if (const auto* slice = std::get_if<SliceOptions>(&step.to))
    return make_slice_transform(source, step, *slice);
  if (source.sliced)
    throw InputError(BadInput{.key = "sliced",
                              .found = fmt::format("a stream cut to {} numbers", source.sliced->width),
                              .expected = "a whole stream: convert attention first, slice then"});
  switch (variant_made_by(step.variant())) {
    case MadeBy::weights:
      return make_weights_transform(source, step, options);
    case MadeBy::deepseek:
      return make_deepseek_transform(source, step, options);
    case MadeBy::mha2mla:
      return make_mha2mla_transform(source, step, options);
    case MadeBy::care:
      return make_care_transform(source, step, options);
    case MadeBy::moments:
      return make_moments_transform(source, step, options);
    case MadeBy::base:
    case MadeBy::nothing:
      break;
  }
  throw InputError(BadInput{.key = "variant",
                            .found = "'" + target_name(step.to) + "'",
                            .expected = "one of " + join(transform_names())});
}

// Several steps. What a step settles, it settles on the source, whose other layers stay as they are.
class JoinedTransform final : public Transform {
 public:
  JoinedTransform(ModelForm source, std::vector<ConversionStep> steps, const TransformOptions& options)
      : source_(std::move(source)), steps_(std::move(steps)), options_(options) {
    options_.exported = false;
    make_from(0);
  }

  const std::vector<Stage>& stages() const override { return stages_; }
  bool has_open_settings() const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const auto& part) { return part->has_open_settings(); });
  }
  int64_t numbers_to_estimate() const override {
    int64_t most = 0;
    for (const auto& part : parts_) most = std::max(most, part->numbers_to_estimate());
    return most;
  }
  std::vector<ConversionStep> settled() const override { return steps_; }

  void prepare(const ModelSource& source, const ConversionData& data,
               const ConversionProgress& progress) override {
    for (size_t i = 0; i < parts_.size(); ++i) {
      parts_[i]->prepare(source, data, progress);
      steps_[i] = parts_[i]->settled().front();
      make_from(i + 1);
    }
  }

 private:
  void make_from(size_t first) {
    parts_.resize(first);
    while (parts_.size() < steps_.size())
      parts_.push_back(make_step(parts_.empty() ? source_ : parts_.back()->stages().back().form,
                                 steps_[parts_.size()], options_));
    stages_.clear();
    for (size_t i = 0; i < parts_.size(); ++i)
      for (Stage stage : parts_[i]->stages()) {
        stage.name += fmt::format("@{}", layers_text(steps_[i].layers));
        stages_.push_back(std::move(stage));
      }
  }

  ModelForm source_;
  std::vector<ConversionStep> steps_;
  TransformOptions options_;
  std::vector<std::unique_ptr<Transform>> parts_;
  std::vector<Stage> stages_;
};

}  // namespace

bool Transform::is_calibrated() const {
  return std::any_of(stages().begin(), stages().end(), [](const Stage& stage) { return stage.calibrated; });
}

std::vector<std::string> transform_names() {
  std::vector<std::string> names;
  for (const auto& name : variant_names())
    if (const MadeBy by = variant_made_by(*variant_defaults(name)); by != MadeBy::nothing && by != MadeBy::base)
      names.push_back(name);
  return names;
}

std::vector<std::string> target_names() {
  auto names = transform_names();
  for (auto& name : matrix_target_names()) names.push_back(std::move(name));
  return names;
}

std::vector<int64_t> all_layers(const DecoderConfig& config) {
  std::vector<int64_t> layers;
  for (int64_t i = 0; i < config.n_layers; ++i) layers.push_back(i);
  return layers;
}

std::unique_ptr<Transform> make_transform(const ModelForm& source, const std::vector<ConversionStep>& steps,
                                          const TransformOptions& options) {
  ATTNLAB_CHECK(!steps.empty());
  if (steps.size() == 1) return make_step(source, steps[0], options);
  return std::make_unique<JoinedTransform>(source, steps, options);
}

std::unique_ptr<Transform> make_transform(const DecoderConfig& base, const VariantConfig& target,
                                          const TransformOptions& options) {
  return make_transform(native_form(base), {{target, all_layers(base)}}, options);
}

LayerConversion of_mixers(std::vector<int64_t> layers, MixerConversion convert) {
  return [layers = std::move(layers), convert = std::move(convert)](const LayerTask& task, LayerFacts& facts) {
    if (std::find(layers.begin(), layers.end(), task.layer) == layers.end()) return task.before;
    const MixerTask mixer{.layer = task.layer,
                          .base = mixer_of(task.base),
                          .before = mixer_of(task.before),
                          .norm = task.before.at("input_layernorm.weight"),
                          .calibration = task.calibration};
    return with_mixer(task.before, convert(mixer, facts));
  };
}

ModelForm with_layers(ModelForm form, const std::vector<int64_t>& layers, const VariantConfig& variant) {
  for (const int64_t layer : layers) form.layers.at(static_cast<size_t>(layer)) = variant;
  return form;
}

}  // namespace attnlab
