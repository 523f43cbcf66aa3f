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

torch::Tensor Rwkv6Mixer::heads_of(const TokenShift& x, const Segments& segments, torch::Tensor& state) {
  const auto first_BTD = x.mixed({mu_x_})[0];
  const int64_t rank = mix_out_.size(1), missing = missing_rank(first_BTD, rank);
  const auto in_DR = padded_behind(mix_in_.unflatten(1, {5, rank}), 2, missing).flatten(1);
  const auto pieces_BT5R = torch::tanh(torch::matmul(first_BTD, in_DR)).unflatten(2, {5, -1});
  // [5, B·T, rank] [5, rank, D].
  const auto m_5BTD =
      torch::matmul(pieces_BT5R.flatten(0, 1).transpose(0, 1), padded_behind(mix_out_, 1, missing))
          .unflatten(1, {first_BTD.size(0), first_BTD.size(1)});
  enum { kW, kK, kV, kR, kG };
  const auto mixed = x.mixed({mu_w_, mu_k_, mu_v_, mu_r_, mu_g_}, m_5BTD);
  const auto w_lora_BTW =
      through(mixed[kW], decay_in_, decay_out_, [](const auto& y) { return torch::tanh(y); });
  const auto k = projected(k_proj_, mixed[kK]), v = projected(v_proj_, mixed[kV]),
             r = projected(q_proj_, mixed[kR]), gate = projected(gate_proj_, mixed[kG]);
  const FullPrecision full;
  const bool fits = fits_rwkv_heads(w_lora_BTW, shape_.head_dim);
  const auto w_BTW = fits ? rwkv6_decay(w_lora_BTW, decay_) : -torch::exp(in_full(decay_) + w_lora_BTW);
  Wkv6 wkv{.r_BNTK = by_head(r, segments),
           .k_BNTK = by_head(k, segments),
           .v_BNTV = by_head(v, segments),
           .w_BNTK = by_head(w_BTW, segments),
           .u_NK = in_full(u_).view({shape_.n_heads, -1}),
           .ids_BT = segments.ids_BT,
           .state_BNKV = state};
  const auto out = wkv6(wkv);
  state = out.state_BNKV;
  if (fits_rwkv_heads(gate, shape_.head_dim))
    return rwkv_output({.o_BTW = merge_heads(out.o_BNTV),
                        .gate_BTW = gate,
                        .vectors_nW = torch::stack({norm_weight_, norm_bias_}),
                        .eps = norm_eps(),
                        .r_BTW = {},
                        .k_BTW = {},
                        .v_BTW = {}});
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
