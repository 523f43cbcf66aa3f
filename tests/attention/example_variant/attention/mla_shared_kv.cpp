#include "attention/mla_shared_kv.h"

#include <fmt/format.h>

#include "attention/attention.h"
#include "attention/latent_attention.h"
#include "attention/low_rank.h"

namespace attnlab {
namespace {

class JointLatentAttention final : public Attention {
 public:
  JointLatentAttention(const AttentionShape& shape, int64_t rank) : Attention(shape), rank_(rank) {
    const int64_t D = shape.d_model, heads_width = shape.n_heads * shape.head_dim;
    q_proj_ = register_module("q_proj", Linear(D, heads_width, shape.qkv_bias));
    kv_proj_ = register_module("kv_proj", Linear(D, rank, shape.qkv_bias));
    k_up_proj_ = register_module("k_up_proj", Linear(rank, heads_width));
    v_up_proj_ = register_module("v_up_proj", Linear(rank, heads_width));
    o_proj_ = register_module("o_proj", Linear(heads_width, D, shape.o_bias));
    norm_ = QkNorm(*this, shape);
  }

  StateLayout state_layout() const override { return {{.name = "kv_latent", .width = rank_}}; }

 protected:
  torch::Tensor attend(AttentionPass& pass) override {
    const int64_t N = shape_.n_heads;
    const auto& x = pass.x_BTD();
    const auto latent_BSR = pass.remember(0, kv_proj_(x));
    const auto q_BNTH = pass.turn(norm_.query(split_heads(q_proj_(x), N)));
    const auto k_BNSH = pass.turn_kept(norm_.key(split_heads(k_up_proj_(latent_BSR), N)));
    const auto v_BNSH = split_heads(v_up_proj_(latent_BSR), N);
    return o_proj_(merge_heads(pass.attend(q_BNTH, k_BNSH, v_BNSH, shape_.score)));
  }

 private:
  int64_t rank_;
  Linear q_proj_{nullptr}, kv_proj_{nullptr}, k_up_proj_{nullptr}, v_up_proj_{nullptr}, o_proj_{nullptr};
  QkNorm norm_;
};

}  // namespace

std::optional<BadInput> MlaSharedKv::problem(const AttentionShape& shape, const Config& config) {
  if (auto mla = mla_base_problem(shape)) return mla;
  const int64_t rank = config.rank.value_or(1);
  if (rank >= 1 && rank <= full_rank(shape)) return std::nullopt;
  return BadInput{.key = "rank",
                  .found = fmt::format("{}", rank),
                  .expected = fmt::format("1 to 2 * n_kv_heads * head_dim = {}", full_rank(shape))};
}

std::shared_ptr<Mixer> MlaSharedKv::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<JointLatentAttention>(shape, latent_rank(shape, config));
}

TensorMap MlaSharedKv::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  const auto options = gqa.k_weight.options();
  const auto weight = torch::cat({gqa.k_weight, gqa.v_weight}).to(torch::kFloat64);  // [2·G·H, D]
  const auto bias =
      gqa.k_bias.defined() ? torch::cat({gqa.k_bias, gqa.v_bias}).to(torch::kFloat64) : torch::Tensor();
  const auto with_bias_MD = with_bias(weight, bias);
  const LowRank factors = low_rank(weight, bias, with_bias_MD.mm(with_bias_MD.t()), latent_rank(shape, config));
  const auto repeat = repetition_matrix(shape, factors.up.options());  // [N·H, G·H]
  const auto halves = factors.up.chunk(2);                             // of keys, of values: [G·H, r]
  TensorMap out = query_and_output(gqa);
  out["kv_proj.weight"] = factors.down.to(options);
  if (bias.defined()) out["kv_proj.bias"] = factors.down_bias.to(options);
  out["k_up_proj.weight"] = repeat.mm(halves[0]).to(options);
  out["v_up_proj.weight"] = repeat.mm(halves[1]).to(options);
  return out;
}

}  // namespace attnlab
