#include "convert/outputs.h"

namespace attnlab {

OutputHead::OutputHead(const ModelForm& form, const TensorMap& outer, const Devices& devices)
    : config_(form.config), norm_eps_(form.stream_eps(form.width_after(form.config.n_layers - 1))) {
  const auto& norm = outer.at("model.norm.weight");
  const auto& matrix = outer.at(config_.tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  const double more = traits_of(config_.family).norm_plus_one ? 1 : 0;
  for (size_t d = 0; d < devices.size(); ++d)
    there_.push_back({.norm = norm.to(devices.at(d), torch::kFloat32) + more,
                      .matrix = matrix.to(devices.at(d), torch::kFloat32)});
}

LogitSource OutputHead::source_of(const LayerStream& stream, size_t batch) const {
  const auto& [norm, matrix] = there_.at(stream.devices().index_of(batch));
  const auto logits = [this, matrix](const torch::Tensor& hidden) {
    const auto all = torch::linear(hidden, matrix);
    return config_.final_softcap > 0 ? config_.final_softcap * torch::tanh(all / config_.final_softcap) : all;
  };
  return {at::rms_norm(stream.states()[batch], norm.sizes(), norm, norm_eps_), logits};
}

double OutputHead::perplexity(const LayerStream& stream, const TokenBatches& ids) const {
  return compare({*this, stream}, {*this, stream}, ids).perplexity_after;
}

Equivalence compare(const HeadedStream& before, const HeadedStream& after, const TokenBatches& ids) {
  const torch::NoGradGuard no_grad;
  const Devices& devices = before.stream.devices();
  std::vector<EquivalenceSums> of_batch;
  for (size_t i = 0; i < ids.ids_BT.size(); ++i) of_batch.emplace_back(devices.of(i));
  devices.each_batch(of_batch.size(), [&](size_t i) {
    add_logits(before.head.source_of(before.stream, i), after.head.source_of(after.stream, i),
               ids.ids_BT[i].to(devices.of(i)), of_batch[i]);
  });
  EquivalenceSums sums(devices.first());
  for (const auto& batch : of_batch) sums.add(batch);
  return sums.result();
}

}  // namespace attnlab
