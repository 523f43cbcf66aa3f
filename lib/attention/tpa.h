// Tensor product attention (TPA, arXiv 2501.06425): keys and values of all heads are sums of R products of a
// head factor and a factor of H numbers.
//
//   k = A_K B_K / R_K,   A_K = W_A x + b_A [N, R_K],   B_K = RoPE(W_B x + b_B) [R_K, H];   v alike, without
//   rotary o_n = softmax(RoPE(q_n) k_nᵀ · scale) v_n
//
// From GQA the head factors start as constants, b_A, and with R = G nothing is lost: rotary commutes with them.
// With `contextual` W_A (0 at first) is trained, and the head factors are cached, too.
//
// Cached: (R_K + R_V)·H numbers per token, (R_K + R_V)(N + H) with contextual head factors.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct Tpa {
  static constexpr std::string_view kName = "tpa";
  static constexpr MadeBy kMadeBy = MadeBy::moments;
  struct Config {
    std::optional<int64_t> rank;
    bool contextual = false;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"rank", "products that keys, and values, are a sum of; absent: KV heads, which loses nothing"}
                .at_least(1),
            self.rank);
      visit(Key{"contextual", "head factors depend on the token, and are cached"}, self.contextual);
    }
  };

  // A rank above the KV heads, norms of query and key heads, or a base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
