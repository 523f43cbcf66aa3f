#include "convert/mha2mla_transform.h"

#include "convert/qk_norm.h"

namespace attnlab {
namespace {

class Mha2MlaTransform final : public Transform {
 public:
  Mha2MlaTransform(const DecoderConfig& base, const Mha2Mla::Config& target)
      : base_(base), plain_(without_qk_norm(base)), target_(target) {
    Mha2Mla::Config selected = target;
    selected.kv_lora_rank.reset();
    const AttentionShape shape = plain_.attention_shape();
    const int64_t full = full_kv_rank(shape, target);
    const bool all_keep_rotary = rope_dim_of(shape, target) == shape.head_dim;
    if (traits_of(base.family).qk_norm)
      stages_.push_back({.name = "fold_qk_norm",
                         .does = "norms of query and key heads as factors",
                         .form = {plain_, Gqa::Config{}},
                         .calibrated = true});
    stages_.push_back({.name = "select_rope",
                       .does = "rotary kept by selected frequencies alone",
                       .form = {plain_, selected},
                       .exact = all_keep_rotary,
                       .calibrated = target.select == RopeSelect::norm && !all_keep_rotary});
    stages_.push_back({.name = "compress",
                       .does = "joint SVD of keys and values",
                       .form = {plain_, target},
                       .exact = target.kv_lora_rank.value_or(full) == full});
  }

  const std::vector<Stage>& stages() const override { return stages_; }
  VariantConfig settled() const override { return target_; }

  TensorMap convert(size_t stage, const LayerTask& task, LayerFacts& facts) override {
    const std::string& name = stages_[stage].name;
    if (name == "fold_qk_norm")
      return fold_qk_norm(base_.attention_shape(), gqa_of(task.base), *task.calibration);
    if (name == "select_rope") return select(task, facts);
    const int64_t full = full_kv_rank(plain_.attention_shape(), target_);
    auto layer = joint_svd_layer(task.before, target_.kv_lora_rank.value_or(full));
    facts["kv_energy_kept"] = layer.kv_energy_kept;
    return std::move(layer.tensors);
  }

 private:
  PairStrengths strengths(const LayerTask& task, const GqaWeights& gqa) const {
    const AttentionShape shape = plain_.attention_shape();
    if (!task.calibration) return weight_strengths(shape, gqa);
    PairStrengths sum;
    task.calibration->visit([&](const torch::Tensor& x_PD) {
      const auto of = [&](const torch::Tensor& weight, const torch::Tensor& bias) {
        return torch::linear(x_PD, weight.to(x_PD.options()), bias.defined() ? bias.to(x_PD.options()) : bias);
      };
      const auto part = token_strengths(shape, of(gqa.q_weight, gqa.q_bias), of(gqa.k_weight, gqa.k_bias));
      sum.products = sum.products.defined() ? sum.products + part.products : part.products;
      sum.energies = sum.energies.defined() ? sum.energies + part.energies : part.energies;
    });
    return sum;
  }

  TensorMap select(const LayerTask& task, LayerFacts& facts) const {
    const AttentionShape shape = plain_.attention_shape();
    const GqaWeights gqa = gqa_of(task.before);  // with norms folded, where the base has them
    const auto of = strengths(task, gqa);
    const auto frequencies =
        select_frequencies(shape, rope_dim_of(shape, target_), target_.select, of.products);
    const auto kept = of.energies.gather(1, frequencies.to(of.energies.device())).sum();
    facts["rope_energy"] = (kept / of.energies.sum()).item<double>();
    return select_rope_layer(shape, gqa, frequencies);
  }

  DecoderConfig base_, plain_;
  Mha2Mla::Config target_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_mha2mla_transform(const DecoderConfig& base, const VariantConfig& target,
                                                  const TransformOptions& options) {
  const auto& config = std::get<Mha2Mla::Config>(target);
  const bool folded = options.approximate_qk_norm && traits_of(base.family).qk_norm;
  const DecoderConfig judged = folded ? without_qk_norm(base) : base;
  if (const auto problem = Mha2Mla::problem(judged.attention_shape(), config)) throw InputError(*problem);
  return std::make_unique<Mha2MlaTransform>(base, config);
}

}  // namespace attnlab
