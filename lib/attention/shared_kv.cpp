#include "attention/shared_kv.h"

#include "attention/attention.h"
#include "core/errors.h"

namespace attnlab {
namespace {

class SharedKvAttention final : public Attention {
 public:
  SharedKvAttention(const AttentionShape& shape, int64_t owner) : Attention(shape), owner_(owner) {
    const int64_t D = shape.d_model, q_width = shape.n_heads * shape.head_dim;
    const int64_t kv_width = shape.n_kv_heads * shape.head_dim;
    q_proj_ = register_module("q_proj", Linear(D, q_width, shape.qkv_bias));
    if (owns()) {
      k_proj_ = register_module("k_proj", Linear(D, kv_width, shape.qkv_bias));
      v_proj_ = register_module("v_proj", Linear(D, kv_width, shape.qkv_bias));
    }
    o_proj_ = register_module("o_proj", Linear(q_width, D, shape.o_bias));
    norm_ = QkNorm(*this, shape, owns());
  }

  StateLayout state_layout() const override {
    if (!owns()) return {};
    const int64_t G = shape_.n_kv_heads, width = G * shape_.head_dim;
    return {{.name = "k",
             .width = width,
             .heads = G,
             .rotated = turning_width(shape_),
             .of_kv_heads = true,
             .serves = Serves::keys},
            {.name = "v", .width = width, .heads = G, .of_kv_heads = true, .serves = Serves::values}};
  }
  int64_t reads_layer() const override { return owner_; }

 protected:
  torch::Tensor attend(AttentionPass& pass) override {
    const auto& x = pass.x_BTD();
    const auto q_BNTH = norm_.query(split_heads(q_proj_(x), shape_.n_heads));
    const auto o_BNTH = owns() ? with_own(pass, q_BNTH) : with_left(pass, q_BNTH);
    return o_proj_(merge_heads(o_BNTH));
  }

 private:
  bool owns() const { return owner_ == shape_.layer; }

  torch::Tensor with_own(AttentionPass& pass, const torch::Tensor& unturned_BNTH) {
    const auto [q_BNTH, k_BGSH] = pass.turn_and_remember(
        unturned_BNTH, norm_.key(split_heads(k_proj_(pass.x_BTD()), shape_.n_kv_heads)), 0);
    const auto v_BGSH = pass.remember(1, split_heads(v_proj_(pass.x_BTD()), shape_.n_kv_heads));
    pass.leave(shape_.layer, k_BGSH, v_BGSH);
    return pass.attend(q_BNTH, k_BGSH, v_BGSH, shape_.score);
  }
  torch::Tensor with_left(const AttentionPass& pass, const torch::Tensor& unturned_BNTH) {
    const KvBoard& kv = pass.left(owner_);
    const auto q_BNTH = apply_rotary(unturned_BNTH, kv.new_tables.cos_BTH, kv.new_tables.sin_BTH);
    return attnlab::attend(q_BNTH, kv.k_BGSH, kv.v_BGSH, kv.mask_B1TS, shape_.score);
  }

  int64_t owner_;
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr};
  QkNorm norm_;
};

}  // namespace

std::shared_ptr<Mixer> make_shared_kv(const AttentionShape& shape, int64_t owner) {
  return std::make_shared<SharedKvAttention>(shape, owner);
}

TensorMap shared_kv_from_gqa(const AttentionShape& shape, int64_t owner, const GqaWeights& gqa) {
  if (owner == shape.layer) return all_projections(gqa);
  TensorMap tensors = query_and_output(gqa);
  tensors.erase("k_norm.weight");
  return tensors;
}

std::optional<BadInput> shared_kv_problem(const AttentionShape& shape) {
  if (auto mla = mla_base_problem(shape)) return mla;
  if (shape.window == 0) return std::nullopt;
  return BadInput{.key = "variant",
                  .found = "a base with a sliding window",
                  .expected = "a base without: layers that share keys must see the same tokens"};
}

}  // namespace attnlab
