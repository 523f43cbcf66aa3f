#include "convert/deepseek_export.h"

#include <fmt/format.h>

#include <cmath>

#include "attention/deepseek_mla.h"
#include "attention/mla_deepseek.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

struct Sizes {
  MlaDeepseek::Config config;
  MlaShape mla;
  bool bias = false;        // queries, keys and values have biases
  bool neutral_kv = false;  // the latent has the constant
  bool neutral_q = false;   // so has the queries'
  int64_t q_rank = 0;       // of the queries' latent without the constant; 0: not compressed
};

Sizes sizes_of(const ModelForm& form) {
  const AttentionShape shape = form.config.attention_shape();
  Sizes s{.config = form.layers.front().get<MlaDeepseek>()};
  s.mla = deepseek_sizes(shape, s.config);
  s.bias = shape.qkv_bias;
  s.neutral_kv = s.config.latent_norm == LatentNorm::neutral;
  s.q_rank = s.mla.q_lora_rank > 0 ? s.mla.q_lora_rank : s.bias ? shape.d_model : 0;
  s.neutral_q = s.q_rank > 0 && (s.neutral_kv || s.mla.q_lora_rank == 0);
  return s;
}

BadInput inexpressible(std::string found, std::string expected) {
  return {.key = "DeepSeek-V3", .found = std::move(found), .expected = std::move(expected)};
}

// A power of two, which every format holds, some 2^20 times the root of the mean square of the latent y = W x +
// b where x is normed: x has mean square norm². A token whose numbers all stand in one can have a latent √D
// times as large, and (√D / 2^20)² / 2 is still far below float32's rounding. float16 ends at 65504.
double constant_for(const torch::Tensor& weight, const torch::Tensor& bias, const torch::Tensor& norm,
                    torch::ScalarType dtype) {
  auto square = (weight.to(torch::kFloat64) * norm.to(torch::kFloat64)).square().sum();
  if (bias.defined()) square = square + bias.to(torch::kFloat64).square().sum();
  const double size = std::max(std::sqrt(square.item<double>()), 1e-3);
  const double exponent = std::ceil(std::log2(size)) + 20;
  return std::exp2(dtype == torch::kFloat16 ? std::min(exponent, 15.0) : std::min(exponent, 60.0));
}

// One latent with its constant. Rows of `down` become R + 1; columns of `up` follow.
struct Neutral {
  torch::Tensor down, bias, norm, up;
};

// y = up · z + up_bias, z = down · x + bias.
Neutral neutralise(const torch::Tensor& down, const torch::Tensor& bias, const torch::Tensor& up,
                   const torch::Tensor& up_bias, const torch::Tensor& input_norm, torch::ScalarType dtype) {
  const int64_t rank = down.size(0);
  const double constant = constant_for(down, bias, input_norm, dtype);
  const double wanted = constant / std::sqrt(static_cast<double>(rank + 1));
  const auto norm = torch::full({rank + 1}, wanted, down.options()).to(dtype).to(down.scalar_type());
  const double correction = wanted / norm[0].item<double>();  // what rounding the norm's weight took
  const auto last = up_bias.defined() ? up_bias / constant : torch::zeros({up.size(0)}, up.options());
  const auto zeros = bias.defined() ? bias : torch::zeros({rank}, down.options());
  return {.down = torch::cat({down, torch::zeros({1, down.size(1)}, down.options())}, 0),
          .bias = torch::cat({zeros, torch::full({1}, constant, down.options())}),
          .norm = norm,
          .up = torch::cat({up, last.unsqueeze(1)}, 1) * correction};
}

torch::Tensor find(const TensorMap& tensors, const char* name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? torch::Tensor() : found->second;
}

void export_queries(const Sizes& s, const TensorMap& in, const torch::Tensor& input_norm,
                    torch::ScalarType dtype, TensorMap& out) {
  if (s.q_rank == 0) {
    out["q_proj.weight"] = in.at("q_proj.weight");
    return;
  }
  const bool compressed = s.mla.q_lora_rank > 0;
  const auto up = in.at(compressed ? "q_b_proj.weight" : "q_proj.weight");
  const auto down = compressed ? in.at("q_a_proj.weight") : torch::eye(up.size(1), up.options());
  if (!s.neutral_q) {
    out["q_a_proj.weight"] = down;
    out["q_a_layernorm.weight"] = in.at("q_a_layernorm.weight");
    out["q_b_proj.weight"] = up;
    if (s.bias || s.neutral_kv) out["q_a_proj.bias"] = torch::zeros({down.size(0)}, down.options());
    return;
  }
  const auto bias = find(in, compressed ? "q_b_proj.bias" : "q_proj.bias");
  const Neutral q = neutralise(down, {}, up, bias, input_norm, dtype);
  out["q_a_proj.weight"] = q.down;
  out["q_a_proj.bias"] = q.bias;
  out["q_a_layernorm.weight"] = q.norm;
  out["q_b_proj.weight"] = q.up;
}

void export_keys_and_values(const Sizes& s, const TensorMap& in, const torch::Tensor& input_norm,
                            torch::ScalarType dtype, TensorMap& out) {
  const auto weight = in.at("kv_a_proj_with_mqa.weight"), bias = find(in, "kv_a_proj_with_mqa.bias");
  if (!s.neutral_kv) {
    for (const char* name :
         {"kv_a_proj_with_mqa.weight", "kv_a_proj_with_mqa.bias", "kv_a_layernorm.weight", "kv_b_proj.weight"})
      if (const auto tensor = find(in, name); tensor.defined()) out[name] = tensor;
    return;
  }
  const int64_t R = s.mla.kv_lora_rank, r = s.mla.qk_rope_head_dim;
  const auto latent_bias = bias.defined() ? bias.narrow(0, 0, R) : bias;
  const Neutral kv =
      neutralise(weight.narrow(0, 0, R), latent_bias, in.at("kv_b_proj.weight"), {}, input_norm, dtype);
  const auto rope_bias = bias.defined() ? bias.narrow(0, R, r) : torch::zeros({r}, weight.options());
  out["kv_a_proj_with_mqa.weight"] = torch::cat({kv.down, weight.narrow(0, R, r)}, 0);
  out["kv_a_proj_with_mqa.bias"] = torch::cat({kv.bias, rope_bias});
  out["kv_a_layernorm.weight"] = kv.norm;
  out["kv_b_proj.weight"] = kv.up;
}

}  // namespace

std::optional<BadInput> export_problem(const ModelForm& form) {
  const DecoderConfig& config = form.config;
  const FamilyTraits& traits = traits_of(config.family);
  if (config.window > 0 && config.window < config.max_positions)
    return inexpressible(fmt::format("a sliding window of {} tokens", config.window),
                         "attention to all tokens: DeepSeek-V3 has no windows");
  if (config.attention_softcap > 0 || config.final_softcap > 0)
    return inexpressible("soft caps", "none: DeepSeek-V3 has none");
  if (config.moe)
    return inexpressible(fmt::format("{} experts without shared ones", config.moe->n_experts),
                         "dense MLPs: DeepSeek-V3 routes its experts in another way");
  if (traits.gelu || traits.sandwich_norms || traits.norm_plus_one || traits.scaled_embedding || traits.qk_norm)
    return inexpressible(fmt::format("the norms, activation or embedding of family {}", name_of(config.family)),
                         "those of LLaMA");
  const Sizes s = sizes_of(form);
  if (config.rope_scaling && config.rope_scaling->by_width() && s.config.collapse > 1)
    return inexpressible(fmt::format("{} rotary scaling with collapse {}", name_of(config.rope_scaling->type),
                                     s.config.collapse),
                         "collapse 1: DeepSeek-V3 scales frequencies by the width that turns, not by a head's");
  if (s.bias && !s.neutral_kv && s.mla.q_lora_rank > 0)
    return inexpressible("compressed queries with biases and calibrated norms",
                         "latent_norm: neutral, which carries the biases");
  return decoder_problem(exported_form(form).config);
}

ModelForm exported_form(const ModelForm& form) {
  const Sizes s = sizes_of(form);
  DecoderConfig config = form.config;
  config.family = Family::deepseek_v3;
  config.mla = s.mla;
  config.mla->kv_lora_rank = s.mla.kv_lora_rank + (s.neutral_kv ? 1 : 0);
  config.mla->q_lora_rank = s.q_rank + (s.neutral_q ? 1 : 0);
  config.n_kv_heads = config.n_heads;
  config.head_dim = s.mla.qk_nope_head_dim + s.mla.qk_rope_head_dim;
  config.rotary_dim = 0;
  config.query_scalar = 0;
  config.window = 0;
  config.window_layers.clear();
  // DeepSeek's modules would multiply the scores by mscale_all_dim's factor, too.
  if (config.rope_scaling) config.rope_scaling = config.rope_scaling->with_plain_factor();
  config.qkv_bias = config.o_bias = s.bias || s.neutral_kv || config.o_bias;  // attention_bias is one flag
  return {config, DeepseekMla::Config{}};
}

TensorMap export_layer(const ModelForm& form, const TensorMap& attention, const torch::Tensor& input_norm,
                       torch::ScalarType dtype) {
  const Sizes s = sizes_of(form);
  TensorMap out{{"o_proj.weight", attention.at("o_proj.weight")}};
  export_queries(s, attention, input_norm, dtype, out);
  export_keys_and_values(s, attention, input_norm, dtype, out);
  if (exported_form(form).config.o_bias) {
    const auto bias = find(attention, "o_proj.bias");
    const auto& o = out.at("o_proj.weight");
    out["o_proj.bias"] = bias.defined() ? bias : torch::zeros({o.size(0)}, o.options());
  }
  // attention_bias says it of all of them.
  if (exported_form(form).config.qkv_bias && !out.contains("kv_a_proj_with_mqa.bias"))
    out["kv_a_proj_with_mqa.bias"] =
        torch::zeros({s.mla.kv_lora_rank + s.mla.qk_rope_head_dim}, out.at("o_proj.weight").options());
  return out;
}

}  // namespace attnlab
