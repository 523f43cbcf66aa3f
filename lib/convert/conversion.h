// Runs a transform over a model, layer by layer, and measures every stage.
//
// Calibration text goes through the model as it is before each calibrated stage, held-out text through the
// model after every stage that is measured, all at the same time: each layer is read once, and with it all that
// is known of the layers before is hidden states. Memory: the states, one layer, and attention's tensors of its
// stages.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "convert/equivalence.h"
#include "convert/transform.h"

namespace attnlab {

struct StageReport {
  std::string name, does;
  std::string variant;
  bool exact = false;
  Equivalence from_base;  // on held-out text, against the base; no positions: not measured
  // max |Δlogit| against the stage before; absent: one of the two is not measured.
  std::optional<double> max_difference;
  double tolerance = 0;        // for that, where the stage is exact
  int64_t cached_numbers = 0;  // per token, of all layers
  double weight_bytes = 0;     // of all tensors, as they will be stored
  std::vector<LayerFacts> layers;
};

struct ConversionReport {
  int64_t base_cached_numbers = 0;
  double base_weight_bytes = 0;
  double base_perplexity = 0;  // 0: there was no held-out text
  std::vector<StageReport> stages;
};

// Where the converted layers go, and what is kept to go on after a kill.
class ConversionStore {
 public:
  virtual ~ConversionStore() = default;
  // A finished layer, all its tensors, named without "model.layers.N.".
  virtual void put(int64_t layer, const TensorMap& tensors) = 0;
  // The tensors around the layers, once all of these are done.
  virtual void put_outer(const TensorMap& /*tensors*/) {}
  // All states and facts before a layer that is to be done next.
  struct Position {
    int64_t next_layer = 0;
    TensorMap states;
    std::vector<std::vector<LayerFacts>> facts;  // by stage, by layer
  };
  virtual std::optional<Position> position() { return std::nullopt; }
  virtual void save(const Position&) {}
};

// Throws RunError if an exact stage moved the logits further than rounding does (rounding.h): then something is
// wrong. Where the estimate does not explain it, an experiment on the model that the stage started from may;
// its layers are made once more for that, so that functions of stages are called from layer 0 on again.
// `stored`: the format that the layers will
// be kept in; where it is not float32, rounding is one more stage.
ConversionReport run_conversion(const ModelSource& source, Transform& transform, const ConversionData& data,
                                ConversionStore& store, torch::ScalarType stored,
                                const ConversionProgress& progress);

}  // namespace attnlab
