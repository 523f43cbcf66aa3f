#include "attention/rwkv6.h"

#include <algorithm>
#include <cmath>

#include "attention/mixer_parts.h"
#include "attention/rwkv_mixer.h"

namespace attnlab {
namespace {

Rwkv6Form rwkv6_form(const AttentionShape& shape, const Rwkv6::Config& config) {
  const int64_t rank = config.lora_rank.value_or(default_lora_rank(shape));
  return {.mix_rank = rank, .decay_rank = rank};
}

}  // namespace

Rwkv6Mixer::Rwkv6Mixer(const AttentionShape& shape, const Rwkv6Form& form)
    : RwkvMixer(shape, 1e-5 * form.norm_divisor * form.norm_divisor) {
  const int64_t D = shape.d_model, W = shape.n_heads * shape.head_dim;
  gate_proj_ = register_module("gate_proj", Linear(D, W, form.gate_bias));
  for (const auto& [name, mu] : {std::pair{"mu_x", &mu_x_},
                                 {"mu_w", &mu_w_},
                                 {"mu_k", &mu_k_},
                                 {"mu_v", &mu_v_},
                                 {"mu_r", &mu_r_},
                                 {"mu_g", &mu_g_}})
    *mu = vector(name, D);
  mix_in_ = matrix("mix_in", D, 5 * form.mix_rank);
  mix_out_ = register_parameter("mix_out", empty_parameter({5, form.mix_rank, D}));
  decay_ = vector("decay", W);
  decay_in_ = matrix("decay_in", D, form.decay_rank);
  decay_out_ = matrix("decay_out", form.decay_rank, W);
  u_ = vector("bonus", W);
}

torch::Tensor Rwkv6Mixer::heads_of(const torch::Tensor& x_BTD, const torch::Tensor& before_BTD,
                                   const Segments& segments, torch::Tensor& state) {
  const auto back = before_BTD - x_BTD;
  const auto pieces_BT5R = torch::tanh(torch::matmul(mixed(x_BTD, back, mu_x_), mix_in_)).unflatten(2, {5, -1});
  // [5, B·T, rank] [5, rank, D].
  const auto m_5BTD = torch::matmul(pieces_BT5R.flatten(0, 1).transpose(0, 1), mix_out_)
                          .unflatten(1, {x_BTD.size(0), x_BTD.size(1)});
  const auto of = [&](int64_t y, const torch::Tensor& mu) {
    return mixed(x_BTD, back, mu.to(x_BTD.scalar_type()) + m_5BTD[y]);
  };
  const auto w_lora_BTW =
      through(of(0, mu_w_), decay_in_, decay_out_, [](const auto& y) { return torch::tanh(y); });
  const auto k = projected(k_proj_, of(1, mu_k_)), v = projected(v_proj_, of(2, mu_v_)),
             r = projected(q_proj_, of(3, mu_r_)), gate = projected(gate_proj_, of(4, mu_g_));
  const FullPrecision full;
  const auto w_BTW = -torch::exp(in_full(decay_) + w_lora_BTW);
  Wkv6 wkv{.r_BNTK = by_head(r, segments),
           .k_BNTK = by_head(k, segments),
           .v_BNTV = by_head(v, segments),
           .w_BNTK = by_head(w_BTW, segments),
           .u_NK = in_full(u_).view({shape_.n_heads, -1}),
           .ids_BT = segments.ids_BT,
           .state_BNKV = state};
  const auto out = wkv6(wkv);
  state = out.state_BNKV;
  return normed(out.o_BNTV) * torch::silu(in_full(gate));
}

std::optional<BadInput> Rwkv6::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, false);
}

std::shared_ptr<Mixer> Rwkv6::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<Rwkv6Mixer>(shape, rwkv6_form(shape, config));
}

TensorMap Rwkv6::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  take_up_rotary_factor(shape, out);
  const auto form = rwkv6_form(shape, config);
  const auto options = gqa.q_weight.options();
  const int64_t D = shape.d_model, W = shape.n_heads * shape.head_dim;
  for (const char* name : {"mu_x", "mu_w", "mu_k", "mu_v", "mu_r", "mu_g"})
    out[name] = torch::zeros({D}, options);
  out["mix_in"] = torch::zeros({D, 5 * form.mix_rank}, options);
  out["mix_out"] = start_noise({5, form.mix_rank, D}, 0.01, "rwkv6.mix", shape.layer).to(options);
  // w₀ from -6 to -1 over the channels, faster in the middle for deeper layers (the published start).
  const double depth = relative_depth(shape);
  out["decay"] = (-6 + 5 * torch::linspace(0, 1, W, torch::kFloat64).pow(0.7 + 1.3 * depth)).to(options);
  out["decay_in"] = torch::zeros({D, form.decay_rank}, options);
  out["decay_out"] = start_noise({form.decay_rank, W}, 0.01, "rwkv6.decay", shape.layer).to(options);
  out["bonus"] = torch::ones({W}, options);
  out["gate_proj.weight"] = torch::zeros({W, D}, options);
  out["gate_proj.bias"] = torch::full({W}, kOpenSilu, options);
  out["norm_weight"] = torch::ones({W}, options);
  out["norm_bias"] = torch::zeros({W}, options);
  return out;
}

}  // namespace attnlab
