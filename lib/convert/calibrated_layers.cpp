#include "convert/calibrated_layers.h"

#include <optional>

namespace attnlab {

void visit_layers(const ModelSource& source, const CalibratedPass& pass, const ConversionProgress& progress,
                  const SeeLayer& see) {
  std::optional<LayerStream> stream;
  if (!pass.text.ids_BT.empty()) stream.emplace(source.form, pass.text, source.embedding(), source.devices);
  const int64_t layers = source.config().n_layers;
  for (int64_t layer = 0; layer < layers; ++layer) {
    progress(pass.what, layer, layers);
    const TensorMap tensors = source.layer(layer);
    std::optional<CalibrationInputs> inputs;
    if (stream) inputs.emplace(*stream, layer, tensors);
    see(layer, tensors, inputs ? &*inputs : nullptr);
    if (stream && layer + 1 < layers) stream->advance(layer, tensors, pass.precision);
  }
}

}  // namespace attnlab
