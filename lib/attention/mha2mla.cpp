#include "attention/mha2mla.h"

#include <fmt/format.h>

#include <cmath>

#include "attention/attend_latent.h"

namespace attnlab {

Mha2Mla::Mha2Mla(const AttentionShape& shape, const Config& config)
    : Attention(shape),
      rank_(config.kv_lora_rank.value_or(full_kv_rank(shape, config))),
      rope_(rope_dim_of(shape, config)),
      absorb_(config.absorb),
      score_(shape.score) {
  if (score_.scale <= 0) score_.scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  const int64_t D = shape.d_model, G = shape.n_kv_heads, heads_width = shape.n_heads * shape.head_dim;
  q_proj_ = register_module("q_proj", Linear(D, heads_width, shape.qkv_bias));
  kv_a_proj_ = register_module("kv_a_proj", Linear(D, rank_, shape.qkv_bias));
  k_rope_proj_ = register_module("k_rope_proj", Linear(D, G * rope_, shape.qkv_bias));
  kv_b_proj_ = register_module("kv_b_proj", Linear(rank_, G * (2 * shape.head_dim - rope_)));
  o_proj_ = register_module("o_proj", Linear(heads_width, D, shape.o_bias));
  // A parameter, so that it is saved, loaded, moved and cast with the others; whole numbers up to 256 survive
  // bfloat16.
  rope_frequency_ =
      register_parameter("rope_frequency", empty_parameter({G * rope_ / 2}), /*requires_grad=*/false);
}

std::optional<BadInput> Mha2Mla::problem(const AttentionShape& shape, const Config& config) {
  if (auto removal = rope_removal_problem(shape)) return removal;
  const int64_t r = rope_dim_of(shape, config), full = full_kv_rank(shape, config);
  const auto bad = [](const char* key, int64_t found, std::string expected) {
    return BadInput{.key = key, .found = fmt::format("{}", found), .expected = std::move(expected)};
  };
  if (shape.head_dim > 512)
    return bad("head_dim", shape.head_dim, "at most 512: places of frequencies are kept in bfloat16, too");
  if (r % 2 != 0 || r > shape.head_dim)
    return bad("qk_rope_head_dim", r, fmt::format("an even number of at most head_dim = {}", shape.head_dim));
  if (config.kv_lora_rank.value_or(full) > full)
    return bad("kv_lora_rank", *config.kv_lora_rank,
               fmt::format("at most {}, which loses nothing ({} KV heads x ({} - {} + {}))", full,
                           shape.n_kv_heads, shape.head_dim, r, shape.head_dim));
  return std::nullopt;
}

TensorMap Mha2Mla::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  const auto frequencies = select_frequencies(shape, rope_dim_of(shape, config), config.select,
                                              weight_strengths(shape, gqa).products);
  const auto selected = select_rope_layer(shape, gqa, frequencies);
  const int64_t full = full_kv_rank(shape, config), rank = config.kv_lora_rank.value_or(full);
  return joint_svd_layer(selected, rank).tensors;
}

torch::Tensor Mha2Mla::of_heads(const torch::Tensor& table_BTH) const {
  const int64_t G = shape_.n_kv_heads, h = shape_.head_dim / 2;
  const auto index = rope_frequency_.detach().round().clamp(0, h - 1).to(torch::kInt64);
  return table_BTH.index_select(-1, index).unflatten(-1, {G, -1}).transpose(1, 2);
}

torch::Tensor Mha2Mla::turned(const torch::Tensor& x_BGMTr, const torch::Tensor& cos_BTH,
                              const torch::Tensor& sin_BTH) const {
  const auto cos = of_heads(cos_BTH).unsqueeze(2), sin = of_heads(sin_BTH).unsqueeze(2);  // [B, G, 1, T, r/2]
  const auto x = x_BGMTr.chunk(2, -1);
  return torch::cat({x[0] * cos - x[1] * sin, x[1] * cos + x[0] * sin}, -1).to(x_BGMTr.scalar_type());
}

torch::Tensor Mha2Mla::forward(const AttentionInput& input) {
  const int64_t T = input.x_BTD.size(1), all = input.cos_BSH.size(1), N = shape_.n_heads;
  const int64_t G = shape_.n_kv_heads, M = shape_.heads_per_kv();
  const auto q = split_heads(q_proj_(input.x_BTD), N).split_with_sizes({shape_.head_dim - rope_, rope_}, -1);
  const auto k_rope_BG1Tr = split_heads(k_rope_proj_(input.x_BTD), G).unsqueeze(2);
  // A KV head's queries and its key turn together: while decoding, the number of kernels is what counts.
  const auto rope = turned(torch::cat({q[1].unflatten(1, {G, M}), k_rope_BG1Tr}, 2),
                           input.cos_BSH.narrow(1, all - T, T), input.sin_BSH.narrow(1, all - T, T))
                        .split_with_sizes({M, 1}, 2);
  const auto q_rope_BNTr = rope[0].flatten(1, 2);
  const auto k_rope_BTL = merge_heads(rope[1].squeeze(2));
  auto latent_BSW = torch::cat({kv_a_proj_(input.x_BTD).to(k_rope_BTL.scalar_type()), k_rope_BTL}, -1);
  if (input.cache) latent_BSW = input.cache->append(0, latent_BSW);
  const int64_t S = latent_BSW.size(1);
  const auto mask = last_columns(input.mask_B1TS, S);
  if (input.cache && absorb_ && T == 1)
    return o_proj_(merge_heads(attend_absorbed(q[0], q_rope_BNTr, input.cache->aligned(0), S, mask)));
  return o_proj_(merge_heads(attend_materialised(torch::cat({q[0], q_rope_BNTr}, -1), latent_BSW, mask)));
}

torch::Tensor Mha2Mla::attend_materialised(const torch::Tensor& q_BNTH, const torch::Tensor& latent_BSW,
                                           const torch::Tensor& mask_B1TS) {
  const int64_t G = shape_.n_kv_heads, H = shape_.head_dim;
  const auto parts = latent_BSW.split_with_sizes({rank_, G * rope_}, -1);
  const auto kv = split_heads(kv_b_proj_(parts[0]), G).split_with_sizes({H - rope_, H}, -1);
  const auto k_BGSH = torch::cat({kv[0], split_heads(parts[1], G).to(kv[0].scalar_type())}, -1);
  return attend(q_BNTH, k_BGSH, kv[1], mask_B1TS, score_);
}

// W_KVB = [W_UK; W_UV] per KV head: q_nope W_UK meets c, and (weights · c) W_UVᵀ is the output. q_rope meets
// all heads' rotary keys, with zeros for those of other heads: one pass over the cache as it lies.
torch::Tensor Mha2Mla::attend_absorbed(const torch::Tensor& q_nope, const torch::Tensor& q_rope,
                                       const torch::Tensor& latent_BPW, int64_t S,
                                       const torch::Tensor& mask_B1TS) {
  const int64_t G = shape_.n_kv_heads, H = shape_.head_dim, M = shape_.heads_per_kv();
  const auto up = kv_b_proj_->weight.view({G, -1, rank_}).split_with_sizes({H - rope_, H}, 1);
  const auto by_group = [&](const torch::Tensor& x_BN1K) { return x_BN1K.squeeze(2).unflatten(1, {G, M}); };
  const auto q_latent_BGMR = torch::einsum("bgmh,ghr->bgmr", {by_group(q_nope), up[0]});
  const auto own_G1G1 = torch::eye(G, q_rope.options()).view({G, 1, G, 1});
  const auto q_all_BGML = (by_group(q_rope).unsqueeze(3) * own_G1G1).flatten(3);
  const auto q_BNW = torch::cat({q_latent_BGMR.to(q_rope.scalar_type()), q_all_BGML}, -1).flatten(1, 2);
  const auto context_BNR = attend_latent(q_BNW, latent_BPW, S, rank_, mask_B1TS, score_);
  const auto o_BGMH = torch::einsum("bgmr,ghr->bgmh", {context_BNR.unflatten(1, {G, M}), up[1]});
  return o_BGMH.flatten(1, 2).unsqueeze(2);
}

std::vector<CacheSlot> Mha2Mla::cache_layout() const {
  return {{"kv_latent_and_k_rope", rank_ + shape_.n_kv_heads * rope_}};
}

int64_t rope_dim_of(const AttentionShape& shape, const Mha2Mla::Config& config) {
  return config.qk_rope_head_dim.value_or((shape.head_dim / 2 + 1) / 2 * 2);
}

int64_t full_kv_rank(const AttentionShape& shape, const Mha2Mla::Config& config) {
  return shape.n_kv_heads * (2 * shape.head_dim - rope_dim_of(shape, config));
}

}  // namespace attnlab
