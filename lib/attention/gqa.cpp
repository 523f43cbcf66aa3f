#include "attention/gqa.h"

#include "attention/attention.h"
#include "attention/side_by_side.h"

namespace attnlab {
namespace {

class GqaAttention final : public Attention, public SharesInputs {
 public:
  explicit GqaAttention(const AttentionShape& shape) : Attention(shape) {
    const int64_t D = shape.d_model, q_width = shape.n_heads * shape.head_dim;
    const int64_t kv_width = shape.n_kv_heads * shape.head_dim;
    q_proj_ = register_module("q_proj", Linear(D, q_width, shape.qkv_bias));
    k_proj_ = register_module("k_proj", Linear(D, kv_width, shape.qkv_bias));
    v_proj_ = register_module("v_proj", Linear(D, kv_width, shape.qkv_bias));
    o_proj_ = register_module("o_proj", Linear(q_width, D, shape.o_bias));
    inputs_ = SharedInput({q_proj_, k_proj_, v_proj_});
    norm_ = QkNorm(*this, shape);
  }

  StateLayout state_layout() const override {
    const int64_t G = shape_.n_kv_heads, width = G * shape_.head_dim;
    return {{.name = "k",
             .width = width,
             .heads = G,
             .rotated = turning_width(shape_),
             .of_kv_heads = true,
             .serves = Serves::keys},
            {.name = "v", .width = width, .heads = G, .of_kv_heads = true, .serves = Serves::values}};
  }

  std::vector<SharedInput*> shared_inputs() override { return {&inputs_}; }

 protected:
  torch::Tensor attend(AttentionPass& pass) override {
    const auto qkv = inputs_.forward(pass.x_BTD());
    const auto [q_BNTH, k_BGSH] = pass.turn_and_remember(norm_.query(split_heads(qkv[0], shape_.n_heads)),
                                                         norm_.key(split_heads(qkv[1], shape_.n_kv_heads)), 0);
    // Backward keeps values, and would keep all three with them.
    const auto v_BTW = torch::GradMode::is_enabled() ? qkv[2].contiguous() : qkv[2];
    const auto v_BGSH = pass.remember(1, split_heads(v_BTW, shape_.n_kv_heads));
    return o_proj_(merge_heads(pass.attend(q_BNTH, k_BGSH, v_BGSH, shape_.score)));
  }

 private:
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr};
  SharedInput inputs_;
  QkNorm norm_;
};

}  // namespace

std::shared_ptr<Mixer> Gqa::make(const AttentionShape& shape, const Config&) {
  return std::make_shared<GqaAttention>(shape);
}

TensorMap Gqa::from_gqa(const AttentionShape&, const Config&, const GqaWeights& gqa) {
  return all_projections(gqa);
}

}  // namespace attnlab
