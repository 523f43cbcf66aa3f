// Checkpoint transforms: what turns a model into another form, layer by layer and stage by stage. A transform
// is a list of stages, each a form that can be computed (so that it is measured) and a function over whole
// layers. A new one is one file, one case in transforms.cpp, one test. How models larger than memory go
// through: conversion.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "convert/conversion_target.h"
#include "convert/layer_stream.h"
#include "model/model_form.h"

namespace attnlab {

// One layer on its way, its tensors named without "model.layers.N." ("self_attn.q_proj.weight"), float32.
struct LayerTask {
  int64_t layer = 0;
  const TensorMap& base;                           // as in the checkpoint
  const TensorMap& before;                         // as the stage before left it
  const CalibrationInputs* calibration = nullptr;  // of the model after the stage before; null: not calibrated
  // The same text where the layers before have gone through this stage; null unless the stage asks for it.
  const LayerStream* result = nullptr;
  // What the stage keeps from layer to layer, by name: written with the states, and there again after a kill.
  TensorMap* carried = nullptr;
};

// Numbers that a stage tells of a layer: "rope_energy", "kv_energy_kept", …
using LayerFacts = std::map<std::string, double>;
// All tensors of the layer after the stage. Stages of a layer come in order, and layers do.
using LayerConversion = std::function<TensorMap(const LayerTask&, LayerFacts&)>;

// What a stage does to the tensors around the layers, by the decoder's names.
struct OuterConversion {
  // Before the first layer: leaves in `carried` what the embedded calibration text says.
  std::function<void(const TensorMap& outer, const TokenBatches& calibration, TensorMap& carried)> begin;
  // All of them after the stage. Asked twice: for the embedding before the layers, and once they are done.
  std::function<TensorMap(const TensorMap& outer, const TensorMap& carried)> convert;
};

struct Stage {
  std::string name;
  std::string does;         // for reports
  ModelForm form;           // what the model is after it
  bool exact = false;       // it computes what it did before the stage, up to rounding
  bool calibrated = false;  // it looks at calibration text
  LayerConversion convert;
  bool sees_result = false;    // … as its own work on the layers before leaves it (LayerTask::result)
  OuterConversion outer = {};  // empty: they stay
};

// The mixer alone, its tensors named as its parameters are ("q_proj.weight").
struct MixerTask {
  int64_t layer = 0;
  TensorMap base, before;
  torch::Tensor norm;  // the layer's input_layernorm.weight
  const CalibrationInputs* calibration = nullptr;
};
using MixerConversion = std::function<TensorMap(const MixerTask&, LayerFacts&)>;
// Converts the mixers of these layers; all else stays.
LayerConversion of_mixers(std::vector<int64_t> layers, MixerConversion convert);
// The form with another variant in these layers.
ModelForm with_layers(ModelForm form, const std::vector<int64_t>& layers, const VariantConfig& variant);

// Where layers come from. The tensors of a layer are named without "model.layers.N.".
struct ModelSource {
  ModelForm form;
  std::function<TensorMap(int64_t layer)> layer;  // float32, on the first device
  TensorMap outer;                                // embedding, final norm, output matrix; any format and place
  Devices devices = torch::kCPU;                  // share the texts

  const DecoderConfig& config() const { return form.config; }
  const torch::Tensor& embedding() const { return outer.at("model.embed_tokens.weight"); }
};

// Which models go over held-out text.
enum class Measured {
  stages,  // the base, and the model after each stage
  ends,    // the base, and the result
  none,
};
template <>
struct EnumNames<Measured> {
  static constexpr std::array<std::pair<std::string_view, Measured>, 3> rows{
      {{"stages", Measured::stages}, {"ends", Measured::ends}, {"none", Measured::none}}};
};

struct ConversionData {
  TokenBatches calibration;  // may be empty where no stage is calibrated
  TokenBatches heldout;
  Precision precision = Precision::float32;  // of products on the way of calibration text
  Precision heldout_precision = Precision::float32;
  Measured measured = Measured::stages;
};

// Hears how far it is: "choosing freqfold", layer of layers. May throw to end the work.
using ConversionProgress = std::function<void(const std::string& what, int64_t done, int64_t of)>;

// A target for some layers.
struct ConversionStep {
  ConversionTarget to;
  std::vector<int64_t> layers;

  const VariantConfig& variant() const { return std::get<VariantConfig>(to); }
};

class Transform {
 public:
  virtual ~Transform() = default;
  // In order; the first one's stage before is the source itself.
  virtual const std::vector<Stage>& stages() const = 0;
  // One of the stages looks at calibration text.
  bool is_calibrated() const;
  // prepare has something to settle.
  virtual bool has_open_settings() const { return false; }
  // Settles what takes a look at the whole model (freqfold: auto; ranks per layer). Called once, before the
  // stages' functions; stages() holds from then on.
  virtual void prepare(const ModelSource&, const ConversionData&, const ConversionProgress&) {}
  // Calibration needs at least as many tokens.
  virtual int64_t numbers_to_estimate() const { return 0; }
  // Why the result stays in the project's own layout although the form has another, if so.
  virtual std::string own_layout_because() const { return ""; }
  // The steps with all that was settled; make_transform with them needs no look.
  virtual std::vector<ConversionStep> settled() const = 0;
};

// Which model the last stages of a form look at, where it knows both.
enum class CalibratedOn {
  stages,  // what the stages before left, whose layers see what those before them have become
  base,    // the source, in the pass that the first stage makes anyway
};
template <>
struct EnumNames<CalibratedOn> {
  static constexpr std::array<std::pair<std::string_view, CalibratedOn>, 2> rows{
      {{"stages", CalibratedOn::stages}, {"base", CalibratedOn::base}}};
};

struct TransformOptions {
  bool approximate_qk_norm = false;           // norms of query and key heads become factors
  torch::ScalarType dtype = torch::kFloat32;  // what the result will be stored in
  bool exported = true;  // with the stage that makes stock DeepSeek-V3 of it, where that can be
  CalibratedOn calibrated_on = CalibratedOn::stages;  // heeded by mla_deepseek
};

// Steps one behind the other, each on what the one before left. Throws InputError where the source can't be
// converted so, with key and reason: layers that are not GQA, a variant that doesn't fit, layers that are not
// there.
std::unique_ptr<Transform> make_transform(const ModelForm& source, const std::vector<ConversionStep>& steps,
                                          const TransformOptions& options = {});
// All layers of a GQA base to one variant.
std::unique_ptr<Transform> make_transform(const DecoderConfig& base, const VariantConfig& target,
                                          const TransformOptions& options = {});

// The names of variants that a GQA base is converted to, in the variant table's order.
std::vector<std::string> transform_names();
// Those, and what changes matrices of any form.
std::vector<std::string> target_names();

// The layers of a form, 0 to n - 1.
std::vector<int64_t> all_layers(const DecoderConfig& config);

}  // namespace attnlab
