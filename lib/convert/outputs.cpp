#include "convert/outputs.h"

namespace attnlab {

OutputHead::OutputHead(const ModelForm& form, const TensorMap& outer, torch::Device device)
    : config_(form.config), norm_eps_(form.stream_eps(form.width_after(form.config.n_layers - 1))) {
  norm_ = outer.at("model.norm.weight").to(device, torch::kFloat32);
  if (traits_of(config_.family).norm_plus_one) norm_ = norm_ + 1;
  const auto& stored = outer.at(config_.tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  matrix_ = stored.to(device, torch::kFloat32);
}

LogitSource OutputHead::source_of(const LayerStream& stream, size_t batch) const {
  const auto logits = [this](const torch::Tensor& hidden) {
    const auto all = torch::linear(hidden, matrix_);
    return config_.final_softcap > 0 ? config_.final_softcap * torch::tanh(all / config_.final_softcap) : all;
  };
  return {at::rms_norm(stream.states()[batch], norm_.sizes(), norm_, norm_eps_), logits};
}

double OutputHead::perplexity(const LayerStream& stream, const TokenBatches& ids) const {
  return compare({*this, stream}, {*this, stream}, ids).perplexity_after;
}

Equivalence compare(const HeadedStream& before, const HeadedStream& after, const TokenBatches& ids) {
  const torch::NoGradGuard no_grad;
  EquivalenceSums sums(before.head.device());
  for (size_t i = 0; i < ids.ids_BT.size(); ++i)
    add_logits(before.head.source_of(before.stream, i), after.head.source_of(after.stream, i),
               ids.ids_BT[i].to(before.head.device()), sums);
  return sums.result();
}

}  // namespace attnlab
