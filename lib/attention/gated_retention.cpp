#include "attention/gated_retention.h"

#include <cmath>

#include "attention/gated_scan.h"
#include "attention/input_type.h"
#include "attention/mixer_parts.h"

namespace attnlab {
namespace {

constexpr double kDecayPower = 16;

}  // namespace

GatedRetention::GatedRetention(const AttentionShape& shape) : Mixer(shape) {
  const int64_t D = shape.d_model, N = shape.n_heads, W = N * shape.head_dim;
  const int64_t kv_width = shape.n_kv_heads * shape.head_dim;
  q_proj_ = register_module("q_proj", Linear(D, W, shape.qkv_bias));
  k_proj_ = register_module("k_proj", Linear(D, kv_width, shape.qkv_bias));
  v_proj_ = register_module("v_proj", Linear(D, kv_width, shape.qkv_bias));
  g_proj_ = register_module("g_proj", Linear(D, W, false));
  gt_proj_ = register_module("gt_proj", Linear(D, N, false));
  o_proj_ = register_module("o_proj", Linear(W, D, shape.o_bias));
  norm_ = QkNorm(*this, shape);
}

StateLayout GatedRetention::state_layout() const {
  const int64_t N = shape_.n_heads, H = shape_.head_dim;
  return {{.name = "state", .width = N * H * H, .heads = N, .extent = Extent::fixed}};
}

double GatedRetention::forward_flops_per_token(int64_t T) const {
  return matrix_flops() + static_cast<double>(shape_.n_heads) * scan_flops(shape_.head_dim, shape_.head_dim, T);
}

torch::Tensor GatedRetention::mix(const MixerInput& input) {
  const auto segments = Segments::of(*input.sequence);
  const auto& x = input.x_BTD;
  const int64_t N = shape_.n_heads, G = shape_.n_kv_heads, H = shape_.head_dim;
  const auto q_BNTH = norm_.query(split_heads(q_proj_(x), N)), k_BGTH = norm_.key(split_heads(k_proj_(x), G));
  const auto v_BGTH = split_heads(v_proj_(x), G), gate_BTW = g_proj_(x), decay_BTN = gt_proj_(x);
  torch::Tensor y_BTW;
  {
    const FullPrecision full;
    const auto by_query_head = [&](const torch::Tensor& x_BGTH) { return x_BGTH.repeat_interleave(N / G, 1); };
    const auto only_valid = [&](const torch::Tensor& x_BNTH) {
      return segments.only_valid(in_full(x_BNTH), 2);
    };
    const double scale = shape_.score.scale > 0 ? shape_.score.scale : 1 / std::sqrt(static_cast<double>(H));
    GatedScan scan{
        .q_BGMTF = (in_full(turned_bare(q_BNTH, input, shape_.rotary_factor)) * scale).unsqueeze(2),
        .k_BGTF = only_valid(by_query_head(turned_bare(k_BGTH, input, shape_.rotary_factor))),
        .v_BGTP = only_valid(by_query_head(v_BGTH)),
        .log_decay_BGT = segments.only_valid(at::log_sigmoid(in_full(decay_BTN)) / kDecayPower).transpose(1, 2),
        .ids_BT = segments.ids_BT,
        .state_BGFP = {}};
    if (input.state) scan.state_BGFP = input.state->fixed(0).unflatten(2, {H, H});
    const auto out = gated_scan(scan);
    if (input.state) input.state->replace(0, out.state_BGFP.flatten(2));
    const auto o_BTNH = out.o_BGMTP.squeeze(2).transpose(1, 2);
    const auto normed = at::rms_norm(o_BTNH, {H}, {}, shape_.norm_eps);
    y_BTW = torch::silu(in_full(gate_BTW)) * normed.flatten(2);
  }
  return o_proj_(y_BTW.to(input_type(o_proj_, input.x_BTD)));
}

TensorMap gated_retention_from_gqa(const AttentionShape& shape, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  take_up_rotary_factor(shape, out);
  const int64_t D = shape.d_model, N = shape.n_heads, W = N * shape.head_dim;
  const auto options = gqa.q_weight.options();
  out["gt_proj.weight"] = torch::zeros({N, D}, options);
  out["g_proj.weight"] =
      start_noise({W, D}, 1 / std::sqrt(static_cast<double>(D)), "g_proj", shape.layer).to(options);
  return out;
}

}  // namespace attnlab
