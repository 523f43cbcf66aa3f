// Checkpoint transforms: what turns a GQA base into another form, layer by layer and stage by stage. A
// transform is one file, one row in transforms.cpp, one test. How models larger than memory go through:
// conversion.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "attention/variants.h"
#include "convert/layer_stream.h"
#include "model/decoder_form.h"

namespace attnlab {

// What the model is after a stage.
struct Stage {
  std::string name;
  std::string does;         // for reports
  DecoderForm form;         // a form that can be computed, so that every stage is measured
  bool exact = false;       // it computes what it did before the stage, up to rounding
  bool calibrated = false;  // it looks at calibration text
};

// One layer on its way. Attention's tensors are named as its parameters are ("q_proj.weight"), float32.
struct LayerTask {
  int64_t layer = 0;
  const TensorMap& base;                           // as in the checkpoint
  const TensorMap& before;                         // as the stage before left it
  torch::Tensor norm;                              // the layer's input_layernorm.weight
  const CalibrationInputs* calibration = nullptr;  // of the model after the stage before; null: not calibrated
};

// Numbers that a stage tells of a layer: "rope_energy", "kv_energy_kept", …
using LayerFacts = std::map<std::string, double>;

// Where layers come from. The tensors of a layer are named without "model.layers.N.".
struct ModelSource {
  DecoderConfig config;
  std::function<TensorMap(int64_t layer)> layer;  // float32, on the device
  TensorMap outer;                                // embedding, final norm, output matrix; any format and place
  torch::Device device = torch::kCPU;

  const torch::Tensor& embedding() const { return outer.at("model.embed_tokens.weight"); }
};

struct ConversionData {
  TokenBatches calibration;  // may be empty where no stage is calibrated
  TokenBatches heldout;
  Precision precision = Precision::float32;  // of products on the way of calibration text
};

// Hears how far it is: "choosing freqfold", layer of layers. May throw to end the work.
using ConversionProgress = std::function<void(const std::string& what, int64_t done, int64_t of)>;

class Transform {
 public:
  virtual ~Transform() = default;
  // In order; the first one's stage before is the base itself.
  virtual const std::vector<Stage>& stages() const = 0;
  // One of the stages looks at calibration text.
  bool is_calibrated() const;
  // prepare has something to settle.
  virtual bool has_open_settings() const { return false; }
  // Settles what takes a look at the whole model (freqfold: auto; ranks per layer). Called once, before
  // convert; stages() holds from then on.
  virtual void prepare(const ModelSource&, const ConversionData&, const ConversionProgress&) {}
  // Calibration needs at least as many tokens.
  virtual int64_t numbers_to_estimate() const { return 0; }
  // Why the result stays in the project's own layout although the form has another, if so.
  virtual std::string own_layout_because() const { return ""; }
  // The options with all that was settled; make_transform with them needs no look.
  virtual VariantConfig settled() const = 0;
  // Attention's tensors after the stage. Stages of a layer come in order.
  virtual TensorMap convert(size_t stage, const LayerTask& task, LayerFacts& facts) = 0;
};

struct TransformOptions {
  bool approximate_qk_norm = false;           // norms of query and key heads become factors
  torch::ScalarType dtype = torch::kFloat32;  // what the result will be stored in
  bool exported = true;  // with the stage that makes stock DeepSeek-V3 of it, where that can be
};

// The transform to a variant. Throws InputError where the base can't be converted so, with key and reason.
std::unique_ptr<Transform> make_transform(const DecoderConfig& base, const VariantConfig& target,
                                          const TransformOptions& options = {});

// The names that make_transform takes, in the variant table's order: all that is made from GQA.
std::vector<std::string> transform_names();

// The GQA weights of a layer by names without "self_attn.".
GqaWeights gqa_of(const TensorMap& attention);

}  // namespace attnlab
