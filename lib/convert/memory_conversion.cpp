#include "convert/memory_conversion.h"

#include <fmt/format.h>

namespace attnlab {
namespace {

std::string prefix_of(int64_t layer) { return fmt::format("model.layers.{}.", layer); }

class MemoryStore final : public ConversionStore {
 public:
  void put(int64_t layer, const TensorMap& tensors) override {
    for (const auto& [name, tensor] : tensors) weights[prefix_of(layer) + name] = tensor.cpu();
  }
  void put_outer(const TensorMap& tensors) override {
    for (const auto& [name, tensor] : tensors) weights[name] = tensor;
  }
  TensorMap weights;
};

TensorMap layer_of(const TensorMap& base, int64_t layer, torch::Device device) {
  const std::string prefix = prefix_of(layer);
  TensorMap tensors;
  for (auto place = base.lower_bound(prefix); place != base.end() && place->first.starts_with(prefix); ++place)
    tensors[place->first.substr(prefix.size())] = place->second.to(device, torch::kFloat32);
  return tensors;
}

}  // namespace

MemoryConversion convert_in_memory(const DecoderConfig& config, const TensorMap& base, Transform& transform,
                                   const ConversionData& data, const Devices& devices,
                                   const ConversionProgress& progress) {
  const torch::NoGradGuard no_grad;
  ModelSource source{.form = native_form(config),
                     .layer = [&](int64_t layer) { return layer_of(base, layer, devices.first()); },
                     .outer = {},
                     .devices = devices};
  MemoryStore store;
  for (const auto& [name, tensor] : base)
    if (!name.starts_with("model.layers.")) source.outer[name] = tensor;
  transform.prepare(source, data, progress);
  auto report = run_conversion(source, transform, data, store, torch::kFloat32, progress);
  return {.form = transform.stages().back().form,
          .weights = std::move(store.weights),
          .settled = transform.settled(),
          .report = std::move(report)};
}

}  // namespace attnlab
