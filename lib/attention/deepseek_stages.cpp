#include "attention/deepseek_stages.h"

#include <cmath>

#include "attention/joint_pca.h"
#include "attention/latent_attention.h"
#include "attention/rorope.h"
#include "attention/spectral.h"

namespace attnlab {
namespace {

constexpr double kDamping = 0.01;

torch::Tensor in_double(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.to(torch::kFloat64) : tensor;
}

RopeFold fold_of(const AttentionShape& shape, const MlaDeepseek::Config& config) {
  return {.n_kv_heads = shape.n_kv_heads,
          .head_dim = shape.head_dim,
          .freqfold = freqfold_of(config),
          .collapse = config.collapse};
}

// P with the rows that keep rotary position first.
torch::Tensor rope_first(const RopeFold& fold, const torch::Tensor& rotation) {
  return rotation.index_select(0, rope_first_order(fold).to(rotation.device()));
}

// The keys' up-projection [N·H, G·H] from those rows.
torch::Tensor key_up(const AttentionShape& shape, const MlaDeepseek::Config& config,
                     const torch::Tensor& rotation) {
  return torch::matmul(repetition_matrix(shape, rotation.options()),
                       rope_first(fold_of(shape, config), rotation).t());
}

// The factor on queries with which 1/√(nope + rope) becomes the base's own scale.
double query_factor(const AttentionShape& shape, const MlaShape& sizes) {
  const double own =
      shape.score.scale > 0 ? shape.score.scale : 1 / std::sqrt(static_cast<double>(shape.head_dim));
  return own * std::sqrt(static_cast<double>(sizes.qk_nope_head_dim + sizes.qk_rope_head_dim));
}

// Queries' rows [N·H, …] → [N·(H + r), …]: beside each head's own rows those that meet the shared rotary keys,
// U_rᵀ q with U_r [N·H, r] the keys' up-projection; times the factor of the scale. What no longer turns has
// lost the factor that the base's cos and sin give to queries and keys.
torch::Tensor widened(const AttentionShape& shape, const torch::Tensor& rows, const torch::Tensor& rope_up,
                      double factor) {
  const auto q_NHx = rows.unflatten(0, {shape.n_heads, -1});
  const auto up_NHr = rope_up.unflatten(0, {shape.n_heads, -1});
  const auto rope_Nrx = torch::matmul(up_NHr.transpose(1, 2), q_NHx);
  const double lost = shape.rotary_factor * shape.rotary_factor;
  return factor * torch::cat({lost == 1 ? q_NHx : lost * q_NHx, rope_Nrx}, 1).flatten(0, 1);
}

// The same for a bias.
torch::Tensor widened_bias(const AttentionShape& shape, const torch::Tensor& bias, const torch::Tensor& rope_up,
                           double factor) {
  return bias.defined() ? widened(shape, in_double(bias).unsqueeze(1), rope_up, factor).squeeze(1) : bias;
}

// Rows of keys and values of each head one behind the other, as DeepSeek's kv_b_proj has them.
torch::Tensor per_head(const torch::Tensor& keys, const torch::Tensor& values, int64_t heads) {
  return torch::cat({keys.unflatten(0, {heads, -1}), values.unflatten(0, {heads, -1})}, 1).flatten(0, 1);
}

TensorMap like(const TensorMap& tensors, const torch::Tensor& example) {
  TensorMap out;
  for (const auto& [name, tensor] : tensors)
    if (tensor.defined()) out[name] = tensor.to(example.options()).contiguous();
  return out;
}

// Queries of the whole layer, and what of their energy is left where they are compressed.
double compress_queries(const AttentionShape& shape, const MlaDeepseek::Config& config, const GqaWeights& gqa,
                        const torch::Tensor& rope_up, const SecondMoment& moment, TensorMap& out) {
  const double factor = query_factor(shape, deepseek_sizes(shape, config));
  const auto spread = [&](const torch::Tensor& rows) { return widened(shape, rows, rope_up, factor); };
  const auto bias = widened_bias(shape, gqa.q_bias, rope_up, factor);
  if (config.q_lora_rank == 0) {
    out["q_proj.weight"] = spread(in_double(gqa.q_weight));
    out["q_proj.bias"] = bias;
    return 1;
  }
  const auto of_queries = moment(gqa.q_weight, gqa.q_bias);
  const auto directions = spectrum_of(damped(of_queries, kDamping)).vectors.narrow(1, 0, config.q_lora_rank);
  out["q_a_proj.weight"] = torch::matmul(directions.t(), in_double(gqa.q_weight));
  out["q_b_proj.weight"] = spread(directions);
  out["q_b_proj.bias"] = bias;
  const auto kept = (directions * torch::matmul(of_queries, directions)).sum();
  return (kept / of_queries.trace()).item<double>();
}

}  // namespace

double white_rms(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse) {
  const double rms = white_moment(weight, bias).diagonal().mean().sqrt().item<double>();
  return inverse ? 1 / rms : rms;
}

RotatedKeys rotate_keys(const AttentionShape& shape, const MlaDeepseek::Config& config, const GqaWeights& gqa,
                        const SecondMoment& moment) {
  const RopeFold fold = fold_of(shape, config);
  const auto of_keys = moment(gqa.k_weight, gqa.k_bias);
  RotatedKeys out{.rotation = rorope_rotation(fold_halves(of_keys, fold), fold)};
  const auto energies = (torch::matmul(out.rotation, of_keys) * out.rotation).sum(1);
  const auto kept = rope_first_order(fold).narrow(0, 0, fold.rope_dim()).to(energies.device());
  out.rope_energy = (energies.index_select(0, kept).sum() / energies.sum()).item<double>();
  return out;
}

TensorMap rotated_layer(const AttentionShape& shape, const GqaWeights& gqa, const torch::Tensor& rotation) {
  const auto selection = repetition_matrix(shape, rotation.options());  // [N·H, G·H]
  TensorMap out{{"k_proj.weight", torch::matmul(rotation, in_double(gqa.k_weight))},
                {"v_proj.weight", gqa.v_weight},
                {"v_proj.bias", gqa.v_bias},
                {"k_up_proj.weight", torch::matmul(selection, rotation.t())},
                {"v_up_proj.weight", selection}};
  if (gqa.k_bias.defined()) out["k_proj.bias"] = torch::mv(rotation, in_double(gqa.k_bias));
  out.merge(query_and_output(gqa));
  return like(out, gqa.q_weight);
}

TensorMap partial_rope_layer(const AttentionShape& shape, const MlaDeepseek::Config& config,
                             const GqaWeights& gqa, const torch::Tensor& rotation) {
  const RopeFold fold = fold_of(shape, config);
  const int64_t r = fold.rope_dim(), keys = shape.n_kv_heads * shape.head_dim;
  const auto ordered = rope_first(fold, rotation);
  const auto selection = repetition_matrix(shape, rotation.options());
  const auto k_up = key_up(shape, config, rotation);
  const auto zeros = torch::zeros_like(selection);
  const auto down = [&](const torch::Tensor& k, const torch::Tensor& v) {
    const auto turned = torch::matmul(ordered, in_double(k));
    return torch::cat({turned.narrow(0, r, keys - r), in_double(v), turned.narrow(0, 0, r)}, 0);
  };
  TensorMap out{
      {"kv_a_proj_with_mqa.weight", down(gqa.k_weight, gqa.v_weight)},
      {"kv_b_proj.weight", per_head(torch::cat({k_up.narrow(1, r, keys - r), zeros}, 1),
                                    torch::cat({zeros.narrow(1, r, keys - r), selection}, 1), shape.n_heads)},
      {"o_proj.weight", gqa.o_weight},
      {"o_proj.bias", gqa.o_bias}};
  if (gqa.k_bias.defined()) out["kv_a_proj_with_mqa.bias"] = down(gqa.k_bias, gqa.v_bias);
  const auto rope_up = k_up.narrow(1, 0, r);
  const double factor = query_factor(shape, deepseek_sizes(shape, config));
  out["q_proj.weight"] = widened(shape, in_double(gqa.q_weight), rope_up, factor);
  out["q_proj.bias"] = widened_bias(shape, gqa.q_bias, rope_up, factor);
  return like(out, gqa.q_weight);
}

torch::Tensor latent_moment(const AttentionShape& shape, const MlaDeepseek::Config& config,
                            const torch::Tensor& rotation, const torch::Tensor& key_value_moment) {
  const RopeFold fold = fold_of(shape, config);
  const int64_t r = fold.rope_dim(), keys = shape.n_kv_heads * shape.head_dim;
  const auto turn = torch::block_diag(
      {rope_first(fold, rotation).narrow(0, r, keys - r), torch::eye(keys, rotation.options())});
  return torch::matmul(torch::matmul(turn, key_value_moment), turn.t());
}

CompressedLayer compress_layer(const AttentionShape& shape, const MlaDeepseek::Config& config,
                               const GqaWeights& gqa, const torch::Tensor& rotation, const TensorMap& partial,
                               const SecondMoment& moment) {
  const MlaShape sizes = deepseek_sizes(shape, config);
  const int64_t r = sizes.qk_rope_head_dim, full = full_kv_rank(shape, config);
  const auto& a_weight = partial.at("kv_a_proj_with_mqa.weight");
  const auto a_bias = gqa.k_bias.defined() ? partial.at("kv_a_proj_with_mqa.bias") : torch::Tensor();
  const auto latents = [&](const torch::Tensor& rows) {
    return rows.defined() ? rows.narrow(0, 0, full) : rows;
  };
  const auto turning = [&](const torch::Tensor& rows) { return in_double(rows.narrow(0, full, r)); };

  const auto of_latents = moment(latents(a_weight), latents(a_bias));
  const int64_t keys = shape.n_kv_heads * shape.head_dim - r;
  const int64_t skipped = config.follow == Follow::published_code ? r : 0;
  CompressedLayer out;
  if (config.balance) out.balance_ratio = balance_ratio(of_latents, keys, config.balance_kv_ratio, skipped);
  const Compressed kv = compress(
      {in_double(latents(a_weight)), in_double(latents(a_bias)), in_double(partial.at("kv_b_proj.weight"))},
      config.kv_pca == KvPca::weight ? white_moment(latents(a_weight), {}) : of_latents, keys,
      out.balance_ratio, sizes.kv_lora_rank);
  out.kv_energy_kept = kv.energy_kept;

  TensorMap tensors{{"kv_a_proj_with_mqa.weight", torch::cat({kv.factors.down, turning(a_weight)}, 0)},
                    {"kv_b_proj.weight", kv.factors.up},
                    {"o_proj.weight", gqa.o_weight},
                    {"o_proj.bias", gqa.o_bias}};
  if (a_bias.defined())
    tensors["kv_a_proj_with_mqa.bias"] = torch::cat({kv.factors.down_bias, turning(a_bias)}, 0);
  const auto rope_up = key_up(shape, config, rotation).narrow(1, 0, r);
  out.q_energy_kept = compress_queries(shape, config, gqa, rope_up, moment, tensors);
  out.tensors = like(tensors, gqa.q_weight);
  return out;
}

TensorMap unit_norm_layer(const MlaDeepseek::Config& config, const TensorMap& compressed) {
  TensorMap out = compressed;
  const auto ones = [&](const char* name, int64_t width) {
    out[name] = torch::ones({width}, compressed.at("kv_b_proj.weight").options());
  };
  ones("kv_a_layernorm.weight", compressed.at("kv_b_proj.weight").size(1));
  if (config.q_lora_rank > 0) ones("q_a_layernorm.weight", config.q_lora_rank);
  return out;
}

TensorMap norm_layer(const MlaDeepseek::Config& config, const TensorMap& unit, const MeanRms& rms) {
  const bool published = config.follow == Follow::published_code;
  TensorMap out = unit;
  const auto& down = unit.at("kv_a_proj_with_mqa.weight");
  const int64_t rows = published ? down.size(0) : unit.at("kv_b_proj.weight").size(1);
  const auto bias = unit.contains("kv_a_proj_with_mqa.bias")
                        ? unit.at("kv_a_proj_with_mqa.bias").narrow(0, 0, rows)
                        : torch::Tensor();
  auto& kv_norm = out["kv_a_layernorm.weight"];
  kv_norm = kv_norm * rms(down.narrow(0, 0, rows), bias, published);
  if (config.q_lora_rank == 0) return out;
  auto& q_norm = out["q_a_layernorm.weight"];
  q_norm = q_norm * rms(unit.at("q_a_proj.weight"), {}, published);
  return out;
}

}  // namespace attnlab
