#include "convert/outputs.h"

namespace attnlab {

OutputHead::OutputHead(const ModelSource& source) : config_(source.config()) {
  norm_ = source.outer.at("model.norm.weight").to(source.device, torch::kFloat32);
  if (traits_of(config_.family).norm_plus_one) norm_ = norm_ + 1;
  const auto& stored = config_.tie_embeddings ? source.embedding() : source.outer.at("lm_head.weight");
  matrix_ = stored.to(source.device, torch::kFloat32);
}

LogitSource OutputHead::source_of(const LayerStream& stream, size_t batch) const {
  const auto logits = [this](const torch::Tensor& hidden) {
    const auto all = torch::linear(hidden, matrix_);
    return config_.final_softcap > 0 ? config_.final_softcap * torch::tanh(all / config_.final_softcap) : all;
  };
  return {at::rms_norm(stream.states()[batch], norm_.sizes(), norm_, config_.norm_eps), logits};
}

Equivalence OutputHead::compare(const LayerStream& before, const LayerStream& after,
                                const TokenBatches& ids) const {
  const torch::NoGradGuard no_grad;
  EquivalenceSums sums(matrix_.device());
  for (size_t i = 0; i < ids.ids_BT.size(); ++i)
    add_logits(source_of(before, i), source_of(after, i), ids.ids_BT[i].to(matrix_.device()), sums);
  return sums.result();
}

double OutputHead::perplexity(const LayerStream& stream, const TokenBatches& ids) const {
  return compare(stream, stream, ids).perplexity_after;
}

}  // namespace attnlab
