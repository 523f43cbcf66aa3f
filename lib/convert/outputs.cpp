#include "convert/outputs.h"

namespace attnlab {

OutputHead::OutputHead(const ModelForm& form, const TensorMap& outer, const Devices& devices,
                       Precision precision)
    : config_(form.config), norm_eps_(form.stream_eps(form.width_after(form.config.n_layers - 1))) {
  const auto& norm = outer.at("model.norm.weight");
  const auto& matrix = outer.at(config_.tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  const double more = traits_of(config_.family).norm_plus_one ? 1 : 0;
  const auto format = precision == Precision::float32 ? torch::kFloat32 : torch::kBFloat16;
  for (size_t d = 0; d < devices.size(); ++d)
    there_.push_back(
        {.norm = norm.to(devices.at(d), torch::kFloat32) + more, .matrix = matrix.to(devices.at(d), format)});
}

LogitSource OutputHead::source_of(const LayerStream& stream, size_t batch) const {
  const auto& [norm, matrix] = there_.at(stream.devices().index_of(batch));
  const auto logits = [this, matrix](const torch::Tensor& hidden) {
    const auto all = torch::linear(hidden.to(matrix.scalar_type()), matrix);
    return config_.final_softcap > 0 ? config_.final_softcap * torch::tanh(all / config_.final_softcap) : all;
  };
  return {at::rms_norm(stream.states()[batch], norm.sizes(), norm, norm_eps_), logits};
}

std::vector<ModelStep> compare(const std::vector<HeadedStream>& models, const TokenBatches& ids) {
  const torch::NoGradGuard no_grad;
  const Devices& devices = models.front().stream.devices();
  const size_t steps = models.size() - 1;
  std::vector<std::vector<StepSums>> of_batch(ids.ids_BT.size());
  devices.each_batch(of_batch.size(), [&](size_t i) {
    std::vector<LogitSource> sources;
    for (const auto& model : models) sources.push_back(model.head.source_of(model.stream, i));
    for (size_t s = 0; s < steps; ++s) of_batch[i].emplace_back(devices.of(i));
    add_logits(sources, ids.ids_BT[i].to(devices.of(i)), of_batch[i]);
  });
  std::vector<ModelStep> out;
  for (size_t s = 0; s < steps; ++s) {
    StepSums sums(devices.first());
    for (const auto& batch : of_batch) sums.add(batch[s]);
    out.push_back({.from_first = sums.from_first.result(), .max_difference = sums.from_before.item<double>()});
  }
  return out;
}

}  // namespace attnlab
