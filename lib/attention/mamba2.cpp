#include "attention/mamba2.h"

#include <cmath>

#include "attention/input_type.h"
#include "attention/mamba2_mixer.h"
#include "attention/mixer_parts.h"

namespace attnlab {
namespace {

// Channels of the convolution: x, B and C side by side.
int64_t channels_of(const AttentionShape& shape) {
  return (2 * shape.n_kv_heads + shape.n_heads) * shape.head_dim;
}

}  // namespace

Mamba2Scanned mamba2_scan(const Mamba2Scan& scan, const Segments& segments, int64_t L) {
  const auto step_BNT = segments.only_valid(scan.step_BTN).transpose(1, 2);
  GatedScan gated{.q_BGMTF = scan.C_BNTS.unsqueeze(2),
                  .k_BGTF = scan.B_BNTS,
                  .v_BGTP = step_BNT.unsqueeze(-1) * scan.x_BNTP,
                  .log_decay_BGT = -step_BNT * scan.A_log_N.to(step_BNT.dtype()).exp().unsqueeze(-1),
                  .ids_BT = segments.ids_BT,
                  .state_BGFP = scan.state_BNSP};
  const auto out = gated_scan(gated, L);
  auto y_BNTP = out.o_BGMTP.squeeze(2);
  if (scan.D_N.defined()) y_BNTP = y_BNTP + scan.D_N.to(y_BNTP.dtype()).view({-1, 1, 1}) * scan.x_BNTP;
  return {.y_BNTP = y_BNTP, .state_BNSP = out.state_BGFP};
}

Mamba2Mixer::Mamba2Mixer(const AttentionShape& shape, const Mamba2::Config& config)
    : Mixer(shape), config_(config) {
  const int64_t D = shape.d_model, N = shape.n_heads, W = N * shape.head_dim;
  const int64_t kv = shape.n_kv_heads * shape.head_dim, channels = channels_of(shape);
  q_proj_ = register_module("q_proj", Linear(D, W, shape.qkv_bias));
  k_proj_ = register_module("k_proj", Linear(D, kv, shape.qkv_bias));
  v_proj_ = register_module("v_proj", Linear(D, kv, shape.qkv_bias));
  o_proj_ = register_module("o_proj", Linear(W, D, shape.o_bias));
  z_proj_ = register_module("z_proj", Linear(D, W));
  dt_proj_ = register_module("dt_proj", Linear(D, N));
  qk_norm_ = QkNorm(*this, shape);
  conv_weight_CK_ = register_parameter("conv_weight", empty_parameter({channels, config.conv_kernel}));
  conv_bias_C_ = register_parameter("conv_bias", empty_parameter({channels}));
  A_log_N_ = register_parameter("A_log", empty_parameter({N}));
  D_N_ = register_parameter("D", empty_parameter({N}));
  dt_bias_N_ = register_parameter("dt_bias", empty_parameter({N}));
  norm_W_ = register_parameter("norm_weight", empty_parameter({W}));
}

StateLayout Mamba2Mixer::state_layout() const {
  const int64_t N = shape_.n_heads, H = shape_.head_dim, K = config_.conv_kernel;
  StateLayout layout{{.name = "state", .width = N * H * H, .heads = N, .extent = Extent::fixed}};
  if (K > 1)
    layout.push_back(
        {.name = "conv", .width = (K - 1) * channels_of(shape_), .heads = K - 1, .extent = Extent::fixed});
  return layout;
}

double Mamba2Mixer::forward_flops_per_token(int64_t T) const {
  const int64_t H = shape_.head_dim;
  return matrix_flops() + static_cast<double>(shape_.n_heads) * scan_flops(H, H, T);
}

Mamba2Mixer::Parts Mamba2Mixer::parts(const MixerInput& input, const Segments& segments) {
  const auto& u = input.x_BTD;
  const auto normed = [](const torch::Tensor& rows_BTW, int64_t heads, auto norm) {
    return merge_heads(norm(split_heads(rows_BTW, heads)));
  };
  const auto q = normed(q_proj_(u), shape_.n_heads, [&](const auto& heads) { return qk_norm_.query(heads); });
  const auto k = normed(k_proj_(u), shape_.n_kv_heads, [&](const auto& heads) { return qk_norm_.key(heads); });
  const auto inputs_BTC = torch::cat({v_proj_(u), k, q}, 2);
  const auto dt_BTN = dt_proj_(u);
  const FullPrecision full;
  const bool keeps = input.state && config_.conv_kernel > 1;
  auto conv =
      short_convolution(segments.only_valid(inputs_BTC), in_full(conv_weight_CK_), in_full(conv_bias_C_),
                        keeps ? input.state->fixed(1) : torch::Tensor(), segments);
  if (keeps) input.state->replace(1, conv.last_BKC);
  if (config_.start == Mamba2Start::mamba_in_the_llama) conv.y_BTC = torch::silu(conv.y_BTC);
  const int64_t kv = shape_.n_kv_heads * shape_.head_dim;
  return {.x_BTW = conv.y_BTC.narrow(2, 0, kv),
          .B_BTW = conv.y_BTC.narrow(2, kv, kv),
          .C_BTW = conv.y_BTC.narrow(2, 2 * kv, shape_.n_heads * shape_.head_dim),
          .step_BTN = mamba_step(dt_BTN, dt_bias_N_)};
}

// RMS norm of each head, the gate before it.
torch::Tensor Mamba2Mixer::gated(const torch::Tensor& y_BTNH, const torch::Tensor& z_BTW) {
  const auto z = in_full(z_BTW).view_as(y_BTNH);
  const auto gate = config_.start == Mamba2Start::opened ? 1 + z : torch::silu(z);
  const auto normed = at::rms_norm(y_BTNH * gate, {shape_.head_dim}, {}, 1e-5);
  return normed.flatten(2) * in_full(norm_W_);
}

torch::Tensor Mamba2Mixer::mix(const MixerInput& input) {
  const auto segments = Segments::of(*input.sequence);
  const int64_t N = shape_.n_heads, G = shape_.n_kv_heads, H = shape_.head_dim;
  const Parts parts_of = parts(input, segments);
  const auto z_BTW = z_proj_(input.x_BTD);
  torch::Tensor y_BTW;
  {
    const FullPrecision full;
    const auto heads = [&](const torch::Tensor& x_BTW, int64_t n, bool turns) {
      const auto x_BnTH = split_heads(x_BTW, n);
      const auto turned = turns ? turned_bare(x_BnTH, input, shape_.rotary_factor) : x_BnTH;
      return n == N ? turned : turned.repeat_interleave(N / n, 1);
    };
    Mamba2Scan scan{.x_BNTP = heads(parts_of.x_BTW, G, false),
                    .B_BNTS = heads(parts_of.B_BTW, G, config_.turns()),
                    .C_BNTS = heads(parts_of.C_BTW, N, config_.turns()),
                    .step_BTN = parts_of.step_BTN,
                    .A_log_N = A_log_N_,
                    .D_N = D_N_,
                    .state_BNSP = {}};
    if (input.state) scan.state_BNSP = input.state->fixed(0).unflatten(2, {H, H});
    const auto out = mamba2_scan(scan, segments);
    if (input.state) input.state->replace(0, out.state_BNSP.flatten(2));
    y_BTW = gated(out.y_BNTP.transpose(1, 2), z_BTW);
  }
  return o_proj_(y_BTW.to(input_type(o_proj_, input.x_BTD)));
}

std::optional<BadInput> Mamba2::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, true);
}

std::shared_ptr<Mixer> Mamba2::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<Mamba2Mixer>(shape, config);
}

TensorMap Mamba2::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  take_up_rotary_factor(shape, out);
  const int64_t D = shape.d_model, N = shape.n_heads, W = N * shape.head_dim, K = config.conv_kernel;
  const bool opened = config.start == Mamba2Start::opened;
  const auto options = gqa.q_weight.options();
  const auto noise = [&](torch::IntArrayRef sizes, double inputs, const char* name) {
    return start_noise(sizes, 1 / std::sqrt(inputs), name, shape.layer).to(options);
  };
  auto identity_CK = torch::zeros({channels_of(shape), K}, options);
  identity_CK.select(1, K - 1).fill_(1);
  out["conv_weight"] =
      opened ? identity_CK : noise({channels_of(shape), K}, static_cast<double>(K), "mamba2.conv");
  out["conv_bias"] = torch::zeros({channels_of(shape)}, options);
  out["z_proj.weight"] =
      opened ? torch::zeros({W, D}, options) : noise({W, D}, static_cast<double>(D), "mamba2.z");
  out["dt_proj.weight"] =
      opened ? torch::zeros({N, D}, options) : noise({N, D}, static_cast<double>(D), "mamba2.dt");
  const auto [A_log, dt_bias] = usual_decays(N, shape.layer);
  out["A_log"] = A_log.to(options);
  out["dt_bias"] = dt_bias.to(options);
  out["D"] = opened ? torch::zeros({N}, options) : torch::ones({N}, options);
  out["norm_weight"] = torch::ones({W}, options);
  return out;
}

}  // namespace attnlab
