#include "attention/mha2mla.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attention/attention.h"
#include "attention/mha2mla_stages.h"
#include "attention/rope_selection.h"

namespace attnlab {
namespace {

class RopeSelectedAttention final : public Attention {
 public:
  RopeSelectedAttention(const AttentionShape& shape, const Mha2Mla::Config& config)
      : Attention(shape, config.absorb),
        rank_(Mha2Mla::latent_rank(shape, config)),
        rope_(rope_dim_of(shape, config)),
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

  StateLayout state_layout() const override {
    const int64_t rope = shape_.n_kv_heads * rope_;
    return {{.name = "kv_latent_and_k_rope",
             .width = rank_ + rope,
             .rotated_from = rank_,
             .rotated = rope,
             .own_frequencies = true,
             .rotary_apart = true}};
  }
  std::vector<std::string> fixed_parameters() const override { return {"rope_frequency"}; }

 protected:
  torch::Tensor attend(AttentionPass& pass) override;
  bool can_absorb() const override { return true; }

 private:
  // [B or 1, G, T, r / 2]: the table's columns of each KV head's frequencies.
  torch::Tensor of_heads(const torch::Tensor& table_BTH) const;
  // Rotary on x [B, G, heads, T, r] of each KV head.
  torch::Tensor turned(const torch::Tensor& x_BGMTr, const RotaryTables& tables) const;
  torch::Tensor attend_materialised(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                    const torch::Tensor& latent_BSW);
  torch::Tensor attend_absorbed(const AttentionPass& pass, const torch::Tensor& q_nope,
                                const torch::Tensor& q_rope);

  int64_t rank_, rope_;
  ScoreForm score_;
  Linear q_proj_{nullptr}, kv_a_proj_{nullptr}, k_rope_proj_{nullptr}, kv_b_proj_{nullptr}, o_proj_{nullptr};
  torch::Tensor rope_frequency_;  // [G·r/2], whole numbers below H / 2; never trained
};

torch::Tensor RopeSelectedAttention::of_heads(const torch::Tensor& table_BTH) const {
  const int64_t G = shape_.n_kv_heads, h = shape_.head_dim / 2;
  const auto index = rope_frequency_.detach().round().clamp(0, h - 1).to(torch::kInt64);
  return table_BTH.index_select(-1, index).unflatten(-1, {G, -1}).transpose(1, 2);
}

torch::Tensor RopeSelectedAttention::turned(const torch::Tensor& x_BGMTr, const RotaryTables& tables) const {
  const auto cos = of_heads(tables.cos_BTH).unsqueeze(2),
             sin = of_heads(tables.sin_BTH).unsqueeze(2);  // [B, G, 1, T, r/2]
  const auto x = x_BGMTr.chunk(2, -1);
  return torch::cat({x[0] * cos - x[1] * sin, x[1] * cos + x[0] * sin}, -1).to(x_BGMTr.scalar_type());
}

torch::Tensor RopeSelectedAttention::attend(AttentionPass& pass) {
  const int64_t N = shape_.n_heads, G = shape_.n_kv_heads, M = shape_.heads_per_kv();
  const auto& x = pass.x_BTD();
  const auto q = split_heads(q_proj_(x), N).split_with_sizes({shape_.head_dim - rope_, rope_}, -1);
  const auto k_rope_BG1Tr = split_heads(k_rope_proj_(x), G).unsqueeze(2);
  // A KV head's queries and its key turn together: while decoding, the number of kernels is what counts.
  const auto rope = turned(torch::cat({q[1].unflatten(1, {G, M}), k_rope_BG1Tr}, 2), pass.new_tables())
                        .split_with_sizes({M, 1}, 2);
  const auto q_rope_BNTr = rope[0].flatten(1, 2);
  const auto k_rope_BTL = merge_heads(rope[1].squeeze(2));
  const auto new_BTW = torch::cat({kv_a_proj_(x).to(k_rope_BTL.scalar_type()), k_rope_BTL}, -1);
  if (absorbs(pass)) {
    pass.remember_latent(0, new_BTW);
    return o_proj_(merge_heads(attend_absorbed(pass, q[0], q_rope_BNTr)));
  }
  return o_proj_(
      merge_heads(attend_materialised(pass, torch::cat({q[0], q_rope_BNTr}, -1), pass.remember(0, new_BTW))));
}

torch::Tensor RopeSelectedAttention::attend_materialised(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                                         const torch::Tensor& latent_BSW) {
  const int64_t G = shape_.n_kv_heads, H = shape_.head_dim;
  const auto parts = latent_BSW.split_with_sizes({rank_, G * rope_}, -1);
  const auto kv = split_heads(kv_b_proj_(parts[0]), G).split_with_sizes({H - rope_, H}, -1);
  const auto k_BGSH = torch::cat({kv[0], split_heads(parts[1], G).to(kv[0].scalar_type())}, -1);
  return pass.attend(q_BNTH, k_BGSH, kv[1], score_);
}

// W_KVB = [W_UK; W_UV] per KV head: q_nope W_UK meets c, and (weights · c) W_UVᵀ is the output. q_rope meets
// all heads' rotary keys, with zeros for those of other heads: one pass over the cache as it lies.
torch::Tensor RopeSelectedAttention::attend_absorbed(const AttentionPass& pass, const torch::Tensor& q_nope,
                                                     const torch::Tensor& q_rope) {
  const int64_t G = shape_.n_kv_heads, H = shape_.head_dim, M = shape_.heads_per_kv();
  const auto up =
      kv_b_proj_->matrix(q_nope.scalar_type()).view({G, -1, rank_}).split_with_sizes({H - rope_, H}, 1);
  const auto by_group = [&](const torch::Tensor& x_BN1K) { return x_BN1K.squeeze(2).unflatten(1, {G, M}); };
  const auto q_latent_BGMR = torch::einsum("bgmh,ghr->bgmr", {by_group(q_nope), up[0]});
  const auto own_G1G1 = torch::eye(G, q_rope.options()).view({G, 1, G, 1});
  const auto q_all_BGML = (by_group(q_rope).unsqueeze(3) * own_G1G1).flatten(3);
  const auto q_BNW = torch::cat({q_latent_BGMR.to(q_rope.scalar_type()), q_all_BGML}, -1).flatten(1, 2);
  const auto context_BNR = pass.attend_latent(q_BNW, 0, rank_, score_);
  const auto o_BGMH = torch::einsum("bgmr,ghr->bgmh", {context_BNR.unflatten(1, {G, M}), up[1]});
  return o_BGMH.flatten(1, 2).unsqueeze(2);
}

}  // namespace

std::shared_ptr<Mixer> Mha2Mla::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<RopeSelectedAttention>(shape, config);
}

std::optional<Mha2Mla::Config> Mha2Mla::with_cache(const AttentionShape& shape, int64_t numbers) {
  Config config;
  const int64_t rank = numbers - shape.n_kv_heads * rope_dim_of(shape, config);
  if (rank < 1) return std::nullopt;
  config.kv_lora_rank = std::min(rank, full_kv_rank(shape, config));
  return config;
}

bool Mha2Mla::is_exact(const AttentionShape& shape, const Config& config) {
  return rope_dim_of(shape, config) == shape.head_dim &&
         latent_rank(shape, config) == full_kv_rank(shape, config);
}

int64_t Mha2Mla::latent_rank(const AttentionShape& shape, const Config& config) {
  return config.kv_lora_rank.value_or(full_kv_rank(shape, config));
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

int64_t rope_dim_of(const AttentionShape& shape, const Mha2Mla::Config& config) {
  return config.qk_rope_head_dim.value_or((shape.head_dim / 2 + 1) / 2 * 2);
}

int64_t full_kv_rank(const AttentionShape& shape, const Mha2Mla::Config& config) {
  return shape.n_kv_heads * (2 * shape.head_dim - rope_dim_of(shape, config));
}

}  // namespace attnlab
