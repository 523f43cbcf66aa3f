// MLA with one latent for keys and values:
//
//   c = W x + b  [r]         what the cache keeps, before rotary
//   K = U_K c,  V = U_V c    each query head's own keys and values
//   o_n = softmax(RoPE(q_n) RoPE(K_n)ᵀ / √H) V_n
//
// From GQA: with P [2·G·H, r] the leading directions of [k; v] for white inputs, c = Pᵀ [k; v], and the halves
// of P, repeated for the query heads, lead back. r = 2·G·H loses nothing.
#pragma once

#include <algorithm>

#include "attention/variant.h"

namespace attnlab {

struct MlaSharedKv {
  static constexpr std::string_view kName = "mla_shared_kv";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    std::optional<int64_t> rank;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(
          Key{"rank", "latent numbers of keys and values; absent: 2 * n_kv_heads * head_dim (exact)"}.at_least(
              1),
          self.rank);
    }
  };

  // A rank above the full one, or a base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape& shape, const Config& config) {
    return latent_rank(shape, config) == full_rank(shape);
  }
  static int64_t latent_rank(const AttentionShape& shape, const Config& config) {
    return config.rank.value_or(full_rank(shape));
  }
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers) {
    if (numbers < 1) return std::nullopt;
    return Config{.rank = std::min(numbers, full_rank(shape))};
  }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);

  static int64_t full_rank(const AttentionShape& shape) { return 2 * shape.n_kv_heads * shape.head_dim; }
};

}  // namespace attnlab
