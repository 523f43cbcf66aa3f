#include "attention/x_ecomla.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/deepseek_attention.h"
#include "attention/gqa_weights.h"

namespace attnlab {
namespace {

using torch::Tensor;

// [W | b] in float64.
Tensor wide_rows(const Tensor& weight, const Tensor& bias) {
  return with_bias(weight, bias).to(torch::kFloat64);
}

// All keys, then all values. A KV head that is there once for each of its query heads changes no direction and
// no share of the energy.
Tensor keys_and_values(const GqaWeights& gqa) {
  return torch::cat({wide_rows(gqa.k_weight, gqa.k_bias), wide_rows(gqa.v_weight, gqa.v_bias)}, 0);
}

struct Factors {
  Tensor up, down;  // U [rows, rank] and Σ Vᵀ [rank, D (+1)]
};

Factors factors_of(const Tensor& matrix, int64_t rank) {
  const auto [U, S, V] = torch::svd(matrix);
  return {U.narrow(1, 0, rank), S.narrow(0, 0, rank).unsqueeze(1) * V.t().narrow(0, 0, rank)};
}

int64_t full_query_rank(const AttentionShape& shape) {
  return std::min(shape.n_heads * shape.head_dim, shape.d_model + (shape.qkv_bias ? 1 : 0));
}
int64_t full_latent_rank(const AttentionShape& shape) {
  return std::min(2 * shape.n_kv_heads * shape.head_dim, shape.d_model + (shape.qkv_bias ? 1 : 0));
}

MlaShape sizes_of(const AttentionShape& shape, const XEcomla::Config& config) {
  const int64_t rope = config.qk_rope_head_dim.value_or(std::max<int64_t>(2, shape.head_dim / 4 * 2));
  return {.q_lora_rank = config.q_lora_rank.value_or(full_query_rank(shape)),
          .kv_lora_rank = config.kv_lora_rank.value_or(full_latent_rank(shape)),
          .qk_nope_head_dim = shape.head_dim - rope,
          .qk_rope_head_dim = rope,
          .v_head_dim = shape.head_dim};
}

// Of each head's H rows the first `nope` and the last `rope`, which are all of them. What no longer turns keeps
// the factor that cos and sin would have given its scores.
Tensor query_parts(const AttentionShape& shape, const Tensor& rows, const MlaShape& sizes) {
  const auto by_head = rows.unflatten(0, {shape.n_heads, -1});
  const int64_t nope = sizes.qk_nope_head_dim, rope = sizes.qk_rope_head_dim;
  const double factor = shape.rotary_factor * shape.rotary_factor;
  return torch::cat({by_head.narrow(1, 0, nope) * factor, by_head.narrow(1, nope, rope)}, 1).flatten(0, 1);
}

class Placer {
 public:
  Placer(const AttentionShape& shape, torch::ScalarType dtype) : D_(shape.d_model), dtype_(dtype) {}

  void weight(const std::string& name, const Tensor& values) {
    out_[name + ".weight"] = values.to(dtype_).contiguous();
  }
  // [W | b], where there is a bias.
  void rows(const std::string& name, const Tensor& values) {
    weight(name, values.narrow(1, 0, D_));
    if (values.size(1) > D_) out_[name + ".bias"] = values.select(1, D_).to(dtype_).contiguous();
  }
  TensorMap take() { return std::move(out_); }

 private:
  int64_t D_;
  torch::ScalarType dtype_;
  TensorMap out_;
};

void place_queries(const AttentionShape& shape, const MlaShape& sizes, const GqaWeights& gqa, Placer& out) {
  const auto whole = wide_rows(gqa.q_weight, gqa.q_bias);
  if (sizes.q_lora_rank == 0) return out.rows("q_proj", query_parts(shape, whole, sizes));
  const auto factors = factors_of(whole, sizes.q_lora_rank);
  out.rows("q_a_proj", factors.down);
  out.weight("q_b_proj", query_parts(shape, factors.up, sizes));
}

void place_keys_and_values(const AttentionShape& shape, const MlaShape& sizes, const GqaWeights& gqa,
                           Placer& out) {
  const int64_t G = shape.n_kv_heads, H = shape.head_dim, rope = sizes.qk_rope_head_dim;
  const auto factors = factors_of(keys_and_values(gqa), sizes.kv_lora_rank);
  const auto turning =
      wide_rows(gqa.k_weight, gqa.k_bias).unflatten(0, {G, H}).narrow(1, H - rope, rope).mean(0);
  out.rows("kv_a_proj_with_mqa", torch::cat({factors.down, turning}, 0));
  const auto up = factors.up.unflatten(0, {2, G, H});  // keys and values
  const auto of_groups = torch::cat({up[0].narrow(1, 0, sizes.qk_nope_head_dim), up[1]}, 1);
  out.weight("kv_b_proj", of_groups.repeat_interleave(shape.heads_per_kv(), 0).flatten(0, 1));
}

int64_t rank_by_energy(const Tensor& matrix, double share) {
  const auto energies = std::get<1>(torch::svd(matrix)).square();
  const auto running = energies.cumsum(0) / energies.sum();
  const int64_t held = (running <= share).sum().item<int64_t>();
  return std::min(energies.numel(), (held + 7) / 8 * 8);
}

}  // namespace

XEcomlaRanks ranks_by_energy(const GqaWeights& gqa, double queries, double of_keys_and_values) {
  return {rank_by_energy(wide_rows(gqa.q_weight, gqa.q_bias), queries),
          rank_by_energy(keys_and_values(gqa), of_keys_and_values)};
}

std::optional<BadInput> XEcomla::problem(const AttentionShape& shape, const Config& config) {
  if (auto removal = rope_removal_problem(shape)) return removal;
  if (shape.scaled_by_width)
    return BadInput{.key = "variant",
                    .found = "a base with yarn or dynamic frequencies",
                    .expected = "another base: their scaling is one for the width of a head"};
  const MlaShape sizes = sizes_of(shape, config);
  const auto at_most = [](const char* key, int64_t found, int64_t most) -> std::optional<BadInput> {
    if (found <= most) return std::nullopt;
    return BadInput{.key = key,
                    .found = fmt::format("{}", found),
                    .expected = fmt::format("at most {}, all of them", most)};
  };
  if (auto bad = at_most("q_lora_rank", sizes.q_lora_rank, full_query_rank(shape))) return bad;
  if (auto bad = at_most("kv_lora_rank", sizes.kv_lora_rank, full_latent_rank(shape))) return bad;
  if (sizes.qk_rope_head_dim % 2 == 0 && sizes.qk_nope_head_dim > 0) return std::nullopt;
  return BadInput{.key = "qk_rope_head_dim",
                  .found = fmt::format("{}", sizes.qk_rope_head_dim),
                  .expected = fmt::format("an even number below head_dim {}", shape.head_dim)};
}

int64_t XEcomla::turning_dim(const AttentionShape& shape, const Config& config, int64_t) {
  return sizes_of(shape, config).qk_rope_head_dim;
}

int64_t XEcomla::latent_rank(const AttentionShape& shape, const Config& config) {
  return sizes_of(shape, config).kv_lora_rank;
}

std::optional<XEcomla::Config> XEcomla::with_cache(const AttentionShape& shape, int64_t numbers) {
  const int64_t rank = std::min(full_latent_rank(shape), numbers - sizes_of(shape, {}).qk_rope_head_dim);
  if (rank < 1) return std::nullopt;
  return Config{.kv_lora_rank = rank};
}

std::shared_ptr<Mixer> XEcomla::make(const AttentionShape& shape, const Config& config) {
  const MlaShape sizes = sizes_of(shape, config);
  const bool compressed = sizes.q_lora_rank > 0;
  return std::make_shared<DeepseekAttention>(shape,
                                             DeepseekForm{.sizes = sizes,
                                                          .q_a_bias = compressed && shape.qkv_bias,
                                                          .q_bias = !compressed && shape.qkv_bias,
                                                          .kv_a_bias = shape.qkv_bias,
                                                          .o_bias = shape.o_bias,
                                                          .norms = false,
                                                          .score = shape.score},
                                             config.absorb);
}

TensorMap XEcomla::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  const MlaShape sizes = sizes_of(shape, config);
  Placer out(shape, gqa.q_weight.scalar_type());
  place_queries(shape, sizes, gqa, out);
  place_keys_and_values(shape, sizes, gqa, out);
  TensorMap tensors = out.take();
  tensors["o_proj.weight"] = gqa.o_weight;
  if (gqa.o_bias.defined()) tensors["o_proj.bias"] = gqa.o_bias;
  return tensors;
}

}  // namespace attnlab
