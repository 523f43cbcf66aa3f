#include "attention/linear_mixer.h"

#include <cmath>

#include "attention/input_type.h"
#include "attention/mixer_parts.h"
#include "kernels/fused.h"

namespace attnlab {
namespace {

constexpr double kLeastFeature = 1e-12;

int64_t map_rows(const AttentionShape& shape, const LinearForm& form) {
  return form.map_rows > 0 ? form.map_rows : shape.head_dim;
}

int64_t state_heads(const AttentionShape& shape, const LinearForm& form) {
  return form.by_query_head ? shape.n_heads : shape.n_kv_heads;
}

// [B, G, T, x] → [B, heads, T, x].
torch::Tensor repeated(const torch::Tensor& x_BGTx, int64_t heads) {
  return x_BGTx.size(1) == heads ? x_BGTx : x_BGTx.repeat_interleave(heads / x_BGTx.size(1), 1);
}

// x W of each head. On a GPU in pieces of tokens, over which W's gradient is a sum: as one product over all
// tokens each head would keep one block busy for long.
torch::Tensor mapped(const torch::Tensor& x_BNTH, const torch::Tensor& W_NHR) {
  constexpr int64_t kPiece = 512;
  const int64_t T = x_BNTH.size(2), pieces = (T + kPiece - 1) / kPiece;
  if (!x_BNTH.is_cuda() || pieces == 1) return torch::matmul(x_BNTH, W_NHR);
  const auto x_BNpLH = padded_behind(x_BNTH, 2, pieces * kPiece - T).unflatten(2, {pieces, kPiece});
  return torch::matmul(x_BNpLH, W_NHR.unsqueeze(1)).flatten(2, 3).narrow(2, 0, T);
}

}  // namespace

int64_t feature_count(FeatureMapKind kind, int64_t head_dim, int64_t rows) {
  if (kind == FeatureMapKind::elu) return head_dim;
  return kind == FeatureMapKind::t2r ? rows : 2 * rows;
}

// The exponential itself: (eˣ - 1) + 1 has lost all digits from x = -17 on.
torch::Tensor elu_plus_one(const torch::Tensor& x) { return torch::where(x > 0, x + 1, x.clamp_max(0).exp()); }

FeatureMapImpl::FeatureMapImpl(FeatureMapKind kind, int64_t heads, int64_t head_dim, int64_t rows)
    : kind_(kind) {
  if (kind == FeatureMapKind::elu) return;
  weight = register_parameter("weight", empty_parameter({heads, rows, head_dim}));
  if (kind == FeatureMapKind::t2r) bias = register_parameter("bias", empty_parameter({heads, rows}));
}

torch::Tensor FeatureMapImpl::forward(const torch::Tensor& x_BNTH) {
  if (kind_ == FeatureMapKind::elu) return elu_plus_one(x_BNTH).clamp_min(kLeastFeature);
  const auto scaled =
      kind_ == FeatureMapKind::exp ? x_BNTH * std::pow(static_cast<double>(x_BNTH.size(3)), -0.25) : x_BNTH;
  const auto y_BNTF = mapped(scaled, weight.to(x_BNTH.dtype()).transpose(1, 2));
  if (kind_ == FeatureMapKind::t2r)
    return torch::relu(y_BNTF + bias.to(x_BNTH.dtype()).unsqueeze(1)).clamp_min(kLeastFeature);
  if (kind_ == FeatureMapKind::exp)
    return torch::cat({y_BNTF.exp(), (-y_BNTF).exp()}, 3).clamp_min(kLeastFeature);
  return paired_softmax(y_BNTF, kLeastFeature);
}

LinearMixer::LinearMixer(const AttentionShape& shape, const LinearForm& form)
    : Mixer(shape),
      form_(form),
      states_(state_heads(shape, form)),
      features_(feature_count(form.map, shape.head_dim, map_rows(shape, form))) {
  const int64_t D = shape.d_model, H = shape.head_dim, N = shape.n_heads, G = shape.n_kv_heads;
  q_proj_ = register_module("q_proj", Linear(D, N * H, shape.qkv_bias));
  k_proj_ = register_module("k_proj", Linear(D, G * H, shape.qkv_bias));
  v_proj_ = register_module("v_proj", Linear(D, G * H, shape.qkv_bias));
  o_proj_ = register_module("o_proj", Linear(N * H, D, shape.o_bias));
  norm_ = QkNorm(*this, shape);
  q_map_ = register_module("q_map", FeatureMap(form.map, N, H, map_rows(shape, form)));
  k_map_ = register_module("k_map", FeatureMap(form.map, states_, H, map_rows(shape, form)));
  if (!form.decay) return;
  dt_proj_ = register_module("dt_proj", Linear(D, states_));
  dt_bias_ = register_parameter("dt_bias", empty_parameter({states_}));
  A_log_ = register_parameter("A_log", empty_parameter({states_}));
}

StateLayout LinearMixer::state_layout() const {
  const int64_t numbers = states_ * features_ * (shape_.head_dim + 1);
  return {{.name = "state", .width = numbers, .heads = states_, .extent = Extent::fixed}};
}

double LinearMixer::forward_flops_per_token(int64_t T) const {
  const auto heads = static_cast<double>(shape_.n_heads);
  double maps = 0;
  for (const auto& map : {q_map_, k_map_})
    if (map->weight.defined()) maps += 2.0 * static_cast<double>(map->weight.numel());
  return matrix_flops() + maps + heads * scan_flops(features_, shape_.head_dim + 1, T);
}

GatedScan LinearMixer::scan_of(const MixerInput& input, const Segments& segments) {
  const auto& x = input.x_BTD;
  const int64_t G = shape_.n_kv_heads;
  const auto q = norm_.query(split_heads(q_proj_(x), shape_.n_heads));
  const auto k = norm_.key(split_heads(k_proj_(x), G));
  const auto v_BGTH = in_full(split_heads(v_proj_(x), G));
  const auto dt_BTG = form_.decay ? dt_proj_(x) : torch::Tensor();
  const FullPrecision full;
  const auto turned = [&](const torch::Tensor& heads) {
    return form_.rotary ? turned_bare(in_full(heads), input, shape_.rotary_factor) : in_full(heads);
  };
  GatedScan scan;
  scan.q_BGMTF = q_map_(turned(q)).unflatten(1, {states_, -1});
  scan.k_BGTF = segments.only_valid(k_map_(repeated(turned(k), states_)), 2);
  scan.v_BGTP = segments.only_valid(repeated(v_BGTH, states_), 2);
  scan.ids_BT = segments.ids_BT;
  if (form_.decay)
    scan.log_decay_BGT = segments.only_valid(mamba_log_decay(dt_BTG, dt_bias_, A_log_)).transpose(1, 2);
  return scan;
}

torch::Tensor LinearMixer::mix(const MixerInput& input) {
  const auto segments = Segments::of(*input.sequence);
  GatedScan scan = scan_of(input, segments);
  torch::Tensor context_BNTH;
  {
    const FullPrecision full;
    if (input.state) scan.state_BGFP = input.state->fixed(0).unflatten(2, {features_, -1});
    Scanned out = normalised_scan(scan, form_.eps);
    if (input.state) input.state->replace(0, out.state_BGFP.flatten(2));
    context_BNTH = out.o_BGMTP.flatten(1, 2);
  }
  return o_proj_(merge_heads(context_BNTH).to(input_type(o_proj_, input.x_BTD)));
}

TensorMap linear_from_gqa(const AttentionShape& shape, const LinearForm& form, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  take_up_rotary_factor(shape, out);
  const auto options = gqa.q_weight.options();
  const int64_t H = shape.head_dim, rows = map_rows(shape, form), states = state_heads(shape, form);
  for (const auto& [name, heads] : {std::pair{"q_map", shape.n_heads}, {"k_map", states}}) {
    if (form.map == FeatureMapKind::elu) continue;
    const bool random = form.map == FeatureMapKind::t2r;
    const auto noise = start_noise({heads, rows, H}, 1 / std::sqrt(static_cast<double>(H)), name, shape.layer);
    const auto identity = torch::eye(rows, H, torch::kFloat64).expand({heads, rows, H});
    // Rows beyond the identity's would be 0 and of no use to a difference of exponentials.
    auto start = random ? noise : identity;
    if (!random && rows > H) start = torch::cat({identity.narrow(1, 0, H), noise.narrow(1, H, rows - H)}, 1);
    out[std::string(name) + ".weight"] = start.to(options).contiguous();
    if (random) out[std::string(name) + ".bias"] = torch::zeros({heads, rows}, options);
  }
  if (!form.decay) return out;
  const auto [A_log, dt_bias] = usual_decays(states, shape.layer);
  out["A_log"] = A_log.to(options);
  out["dt_bias"] = dt_bias.to(options);
  out["dt_proj.weight"] = torch::zeros({states, shape.d_model}, options);
  return out;
}

}  // namespace attnlab
