#include "attention/rwkv_mixer.h"

#include "attention/gated_scan.h"
#include "attention/input_type.h"
#include "attention/mixer_parts.h"
#include "kernels/token_mix.h"

namespace attnlab {

TokenShift::TokenShift(torch::Tensor x_BTD, const torch::Tensor& last_B1D, const Segments& segments)
    : x_BTD_(std::move(x_BTD)) {
  constexpr int64_t kMixes = 6;
  if (last_B1D.defined() || !fits_token_mix(x_BTD_, kMixes))
    back_BTD_ = shifted(x_BTD_, last_B1D, segments) - x_BTD_;
  else if (segments.ids_BT.defined())
    begins_BT_ = beginnings(segments.ids_BT);
}

std::vector<torch::Tensor> TokenShift::mixed(const std::vector<torch::Tensor>& mu_D,
                                             const torch::Tensor& m_nBTD) const {
  if (!back_BTD_.defined()) return token_mix(x_BTD_, torch::stack(mu_D), m_nBTD, begins_BT_);
  std::vector<torch::Tensor> out;
  for (size_t y = 0; y < mu_D.size(); ++y) {
    auto share = mu_D[y].to(x_BTD_.scalar_type());
    if (m_nBTD.defined()) share = share + m_nBTD[static_cast<int64_t>(y)];
    out.push_back(torch::addcmul(x_BTD_, back_BTD_, share));
  }
  return out;
}

RwkvMixer::RwkvMixer(const AttentionShape& shape, double norm_eps) : Mixer(shape), norm_eps_(norm_eps) {
  const int64_t D = shape.d_model, W = shape.n_heads * shape.head_dim, kv = shape.n_kv_heads * shape.head_dim;
  q_proj_ = register_module("q_proj", Linear(D, W, shape.qkv_bias));
  k_proj_ = register_module("k_proj", Linear(D, kv, shape.qkv_bias));
  v_proj_ = register_module("v_proj", Linear(D, kv, shape.qkv_bias));
  o_proj_ = register_module("o_proj", Linear(W, D, shape.o_bias));
  norm_weight_ = vector("norm_weight", W);
  norm_bias_ = vector("norm_bias", W);
}

StateLayout RwkvMixer::state_layout() const {
  const int64_t N = shape_.n_heads, H = shape_.head_dim;
  return {{.name = "state", .width = N * H * H, .heads = N, .extent = Extent::fixed},
          {.name = "before", .width = shape_.d_model, .extent = Extent::fixed}};
}

double RwkvMixer::forward_flops_per_token(int64_t T) const {
  const int64_t H = shape_.head_dim;
  return matrix_flops() + static_cast<double>(shape_.n_heads) * scan_flops(H, H, T, kWkvChunk);
}

torch::Tensor RwkvMixer::mix(const MixerInput& input) {
  const auto segments = Segments::of(*input.sequence);
  const int64_t H = shape_.head_dim;
  const auto& kept_BTD = input.x_BTD;
  const auto x_BTD = kept_BTD.to(product_type(kept_BTD));
  torch::Tensor state, last;
  if (input.state) {
    state = input.state->fixed(0).unflatten(2, {H, H});
    last = input.state->fixed(1);
  }
  const auto y_BTW = heads_of(TokenShift(x_BTD, last, segments), segments, state);
  if (input.state) {
    input.state->replace(0, state.flatten(2));
    input.state->replace(1, in_full(kept_BTD.narrow(1, kept_BTD.size(1) - 1, 1)));
  }
  return o_proj_(y_BTW.to(input_type(o_proj_, input.x_BTD)));
}

torch::Tensor RwkvMixer::projected(Linear& projection, const torch::Tensor& x_BTD) {
  const auto y = projection(x_BTD);
  const int64_t W = shape_.n_heads * shape_.head_dim;
  if (y.size(2) == W) return y;
  return y.unflatten(2, {shape_.n_kv_heads, -1}).repeat_interleave(shape_.heads_per_kv(), 2).flatten(2);
}

int64_t RwkvMixer::missing_rank(const torch::Tensor& x_BTD, int64_t rank) {
  constexpr int64_t kRow = 8, kManyTokens = 128;
  const bool many = x_BTD.is_cuda() && x_BTD.size(0) * x_BTD.size(1) >= kManyTokens;
  return many ? (kRow - rank % kRow) % kRow : 0;
}

torch::Tensor RwkvMixer::by_head(const torch::Tensor& x_BTW, const Segments& segments) const {
  return segments.only_valid(split_heads(x_BTW, shape_.n_heads), 2);
}

torch::Tensor RwkvMixer::normed(const torch::Tensor& o_BNTH) {
  const auto rows = merge_heads(o_BNTH);
  const auto flat = rows.flatten(0, 1);
  return torch::group_norm(flat, shape_.n_heads, in_full(norm_weight_), in_full(norm_bias_), norm_eps_)
      .view_as(rows);
}

}  // namespace attnlab
