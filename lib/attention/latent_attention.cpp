#include "attention/latent_attention.h"

namespace attnlab {
LatentAttention::LatentAttention(const AttentionShape& shape, const LatentWidths& widths, bool absorb)
    : Attention(shape, absorb),
      widths_(widths),
      q_proj_(nullptr),
      k_proj_(nullptr),
      v_proj_(nullptr),
      k_up_proj_(nullptr),
      v_up_proj_(nullptr),
      o_proj_(nullptr) {
  const int64_t D = shape.d_model, heads_width = shape.n_heads * shape.head_dim;
  q_proj_ = register_module("q_proj", Linear(D, heads_width, shape.qkv_bias));
  k_proj_ = register_module("k_proj", Linear(D, widths.keys, shape.qkv_bias));
  v_proj_ = register_module("v_proj", Linear(D, widths.values, shape.qkv_bias));
  k_up_proj_ = register_module("k_up_proj", Linear(widths.keys, heads_width, false));
  v_up_proj_ = register_module("v_up_proj", Linear(widths.values, heads_width, false));
  o_proj_ = register_module("o_proj", Linear(heads_width, D, shape.o_bias));
  inputs_ = SharedInput({k_proj_, v_proj_, q_proj_});
  norm_ = QkNorm(*this, shape);
}

torch::Tensor LatentAttention::attend(AttentionPass& pass) {
  const int64_t N = shape_.n_heads;
  const auto kvq = inputs_.forward(pass.x_BTD());
  const auto latent_k_BSR = pass.remember(0, kvq[0]), latent_v_BSR = pass.remember(1, kvq[1]);
  const auto q_BNTH = pass.turn(norm_.query(split_heads(kvq[2], N)));
  const auto k_BNSH = pass.turn_kept(norm_.key(split_heads(k_up_proj_(latent_k_BSR), N)));
  if (absorbs(pass)) return attend_absorbed(pass, q_BNTH, k_BNSH, latent_v_BSR);
  const auto v_BNSH = split_heads(v_up_proj_(latent_v_BSR), N);
  return o_proj_(merge_heads(pass.attend(q_BNTH, k_BNSH, v_BNSH, shape_.score)));
}

// context_BNTR = weights · c_V, then head n's rows of U_V: out[n] = context[n] U_V[n]ᵀ.
torch::Tensor LatentAttention::attend_absorbed(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                               const torch::Tensor& k_BNSH, const torch::Tensor& latent_v_BSR) {
  const int64_t N = q_BNTH.size(1), T = q_BNTH.size(2);
  const auto weights_BNTS = pass.weights(q_BNTH, k_BNSH, shape_.score);
  // Heads and queries as the rows of one product per sequence: a broadcast over heads would copy the latent.
  const auto context_BNTR = torch::matmul(weights_BNTS.flatten(1, 2), latent_v_BSR).unflatten(1, {N, T});
  const auto up_NHR =
      v_up_proj_->matrix(context_BNTR.scalar_type()).view({shape_.n_heads, shape_.head_dim, -1});
  return o_proj_(merge_heads(torch::einsum("bntr,nhr->bnth", {context_BNTR, up_NHR})));
}

StateLayout LatentAttention::state_layout() const {
  return {{.name = "k_latent", .width = widths_.keys, .serves = Serves::keys},
          {.name = "v_latent", .width = widths_.values, .serves = Serves::values}};
}

torch::Tensor repetition_matrix(const AttentionShape& shape, torch::TensorOptions options) {
  const auto eye_HH = torch::eye(shape.head_dim, options);
  const auto per_group = eye_HH.repeat({shape.heads_per_kv(), 1});
  return torch::block_diag(std::vector<torch::Tensor>(static_cast<size_t>(shape.n_kv_heads), per_group));
}

}  // namespace attnlab
