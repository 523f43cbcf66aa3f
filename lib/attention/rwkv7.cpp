#include "attention/rwkv7.h"

#include <algorithm>
#include <cmath>

#include "attention/mixer_parts.h"
#include "attention/rwkv_mixer.h"

namespace attnlab {
namespace {

constexpr double kNormEps7 = 64e-5;

Rwkv7Form rwkv7_form(const AttentionShape& shape, const Rwkv7::Config& config) {
  const int64_t rank = config.lora_rank.value_or(default_lora_rank(shape));
  return {.w_rank = rank, .a_rank = rank, .g_rank = rank};
}

}  // namespace

Rwkv7Mixer::Rwkv7Mixer(const AttentionShape& shape, const Rwkv7Form& form) : RwkvMixer(shape, kNormEps7) {
  const int64_t D = shape.d_model, W = shape.n_heads * shape.head_dim;
  for (const auto& [name, mu] : {std::pair{"x_r", &x_r_},
                                 {"x_w", &x_w_},
                                 {"x_k", &x_k_},
                                 {"x_v", &x_v_},
                                 {"x_a", &x_a_},
                                 {"x_g", &x_g_}})
    *mu = vector(name, D);
  w0_ = vector("w0", W);
  w1_ = matrix("w1", D, form.w_rank);
  w2_ = matrix("w2", form.w_rank, W);
  a0_ = vector("a0", W);
  a1_ = matrix("a1", D, form.a_rank);
  a2_ = matrix("a2", form.a_rank, W);
  g1_ = matrix("g1", D, form.g_rank);
  g2_ = matrix("g2", form.g_rank, W);
  if (form.v_rank > 0) {
    v0_ = vector("v0", W);
    v1_ = matrix("v1", D, form.v_rank);
    v2_ = matrix("v2", form.v_rank, W);
  }
  k_k_ = vector("k_k", W);
  k_a_ = vector("k_a", W);
  r_k_ = vector("r_k", W);
}

Wkv7Prepared Rwkv7Mixer::prepared(const torch::Tensor& own_k_BTW, const torch::Tensor& w_lora_BTW,
                                  const torch::Tensor& a_lora_BTW) const {
  if (fits_rwkv_heads(own_k_BTW, shape_.head_dim) && w_lora_BTW.scalar_type() == own_k_BTW.scalar_type())
    return prepare_wkv7(own_k_BTW, w_lora_BTW, a_lora_BTW, torch::stack({w0_, a0_, k_k_, k_a_}));
  // exp(-softplus(-y) - 0.5) = e^-0.5 σ(y).
  const auto w_BTW = torch::sigmoid(in_full(w0_) + w_lora_BTW) * -std::exp(-0.5);
  const auto alpha_BTW = torch::sigmoid(in_full(a0_) + a_lora_BTW);
  const auto k_BTNH = (own_k_BTW * in_full(k_k_)).unflatten(2, {shape_.n_heads, -1});
  const auto kappa_BTW = (k_BTNH / k_BTNH.norm(2, -1, true).clamp_min(1e-12)).flatten(2);
  // k (1 + (α - 1) k_a).
  return {.w_BTW = w_BTW,
          .k_BTW = own_k_BTW * torch::addcmul(1 - in_full(k_a_), alpha_BTW, in_full(k_a_)),
          .a_BTW = -kappa_BTW,
          .b_BTW = kappa_BTW * alpha_BTW};
}

torch::Tensor Rwkv7Mixer::output(const torch::Tensor& o_BNTH, const torch::Tensor& r_BTW,
                                 const torch::Tensor& k_BTW, const torch::Tensor& v_BTW,
                                 const torch::Tensor& gate_BTW) {
  const auto type = gate_BTW.scalar_type();
  if (fits_rwkv_heads(gate_BTW, shape_.head_dim) && r_BTW.scalar_type() == type && v_BTW.scalar_type() == type)
    return rwkv_output({.o_BTW = merge_heads(o_BNTH),
                        .gate_BTW = gate_BTW,
                        .vectors_nW = torch::stack({norm_weight_, norm_bias_, r_k_}),
                        .eps = norm_eps(),
                        .r_BTW = r_BTW,
                        .k_BTW = k_BTW,
                        .v_BTW = v_BTW});
  const auto bonus_BTN1 = (r_BTW * k_BTW * in_full(r_k_)).unflatten(2, {shape_.n_heads, -1}).sum(-1, true);
  const auto own = (bonus_BTN1 * v_BTW.unflatten(2, {shape_.n_heads, -1})).flatten(2);
  return (normed(o_BNTH) + own) * gate_BTW;
}

torch::Tensor Rwkv7Mixer::heads_of(const TokenShift& x, const Segments& segments, torch::Tensor& state) {
  enum { kR, kW, kK, kV, kA, kG };
  const auto mixed = x.mixed({x_r_, x_w_, x_k_, x_v_, x_a_, x_g_});
  const auto as_is = [](const torch::Tensor& y) { return y; };
  const auto r = projected(q_proj_, mixed[kR]), own_k = projected(k_proj_, mixed[kK]);
  auto v = projected(v_proj_, mixed[kV]);
  const auto w_lora = through(mixed[kW], w1_, w2_, [](const auto& y) { return torch::tanh(y); });
  const auto a_lora = through(mixed[kA], a1_, a2_, as_is);
  const auto gate = through(mixed[kG], g1_, g2_, [](const auto& y) { return torch::sigmoid(y); });
  values_BTW_ = v;
  const bool mixes_values = v1_.defined() && first_BTW_.defined();
  const auto v_lora = mixes_values ? through(mixed[kV], v1_, v2_, as_is) : torch::Tensor();

  const FullPrecision full;
  if (mixes_values) v = v + (first_BTW_ - v) * torch::sigmoid(in_full(v0_) + v_lora);
  const auto keys = prepared(own_k, w_lora, a_lora);
  const auto heads = [&](const torch::Tensor& x_BTW) { return by_head(x_BTW, segments); };
  Wkv7 wkv{.r_BNTK = heads(r),
           .w_BNTK = heads(keys.w_BTW),
           .k_BNTK = heads(keys.k_BTW),
           .v_BNTV = heads(v),
           .a_BNTK = heads(keys.a_BTW),
           .b_BNTK = heads(keys.b_BTW),
           .ids_BT = segments.ids_BT,
           .state_BNKV = state,
           .mild = true};  // w ≥ -e^-0.5
  const auto out = wkv7(wkv);
  state = out.state_BNKV;
  return output(out.o_BNTV, r, keys.k_BTW, v, gate);
}

std::optional<BadInput> Rwkv7::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, false);
}

std::shared_ptr<Mixer> Rwkv7::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<Rwkv7Mixer>(shape, rwkv7_form(shape, config));
}

TensorMap Rwkv7::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  take_up_rotary_factor(shape, out);
  const auto form = rwkv7_form(shape, config);
  const auto options = gqa.q_weight.options();
  const int64_t D = shape.d_model, W = shape.n_heads * shape.head_dim;
  const auto constant = [&](const char* name, double value) { out[name] = torch::full({W}, value, options); };
  for (const char* name : {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"}) out[name] = torch::zeros({D}, options);
  // Decays from exp(-e^-7) to exp(-e^-2.2) over the channels, faster in the middle for deeper layers (the
  // published start).
  const double depth = relative_depth(shape);
  out["w0"] = (-6.5 + 5 * torch::linspace(0, 1, W, torch::kFloat64).pow(0.85 + std::sqrt(depth))).to(options);
  for (const auto& [name, rank] : {std::pair{"w", form.w_rank}, {"a", form.a_rank}}) {
    out[std::string(name) + "1"] = torch::zeros({D, rank}, options);
    out[std::string(name) + "2"] = start_noise({rank, W}, 0.1 / std::sqrt(static_cast<double>(rank)),
                                               std::string("rwkv7.") + name, shape.layer)
                                       .to(options);
  }
  // σ(0) of each of the gate's inner numbers is a half: together 1.
  out["g1"] = start_noise({D, form.g_rank}, 0.1 / std::sqrt(static_cast<double>(D)), "rwkv7.g", shape.layer)
                  .to(options);
  out["g2"] = torch::full({form.g_rank, W}, 2.0 / static_cast<double>(form.g_rank), options);
  constant("a0", 0);
  constant("k_k", 0.85);
  constant("k_a", 1);
  constant("r_k", 0);
  constant("norm_weight", 1);
  constant("norm_bias", 0);
  return out;
}

}  // namespace attnlab
