// X-EcoMLA's start (arXiv 2503.11132): MLA in DeepSeek's form whose matrices are the singular vectors of a GQA
// layer's.
//
//   W_Q = U Σ Vᵀ:         q_a = Σ_r V_rᵀ,   q_b = U_r, of each head its first `nope` rows and its last `rope`
//   [W_K; W_V], each KV head once for each of its query heads, = U Σ Vᵀ:
//                         kv_a = [Σ_r V_rᵀ; the mean over KV heads of W_K's last `rope` rows]
//                         kv_b = U_r, of each head the first `nope` rows of its key, all of its value
//
// nope + rope = H. What turns is turned as neighbours by r frequencies of its own, not as the base turned it,
// and what does not turn has no position: the start computes another function than the base, which training
// with a teacher is to bring back. Cached: kv_lora_rank + rope numbers per token.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct XEcomla {
  static constexpr std::string_view kName = "x_ecomla";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    std::optional<int64_t> q_lora_rank, kv_lora_rank, qk_rope_head_dim;
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"q_lora_rank",
                "latent numbers of the queries; 0: not compressed; absent: all, which loses nothing"}
                .at_least(0),
            self.q_lora_rank);
      visit(Key{"kv_lora_rank", "latent numbers of keys and values; absent: all"}.at_least(1),
            self.kv_lora_rank);
      visit(Key{"qk_rope_head_dim", "numbers of a head that turn, even; absent: half of them"}.at_least(2),
            self.qk_rope_head_dim);
      visit(Key{"absorb", "decode in the latent space"}, self.absorb);
    }
  };

  // A rank above the full one, an odd rotary part or one as wide as a head, a base of which rotary can't be
  // taken or whose scaling is one for the width of a head.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static int64_t turning_dim(const AttentionShape& shape, const Config& config, int64_t base_turning_dim);
  static bool is_exact(const AttentionShape&, const Config&) { return false; }
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  // Biases are an input more that is always 1.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

// The ranks that keep a share of the energy Σ σ² of queries, and of keys and values: as many directions as hold
// at most that share, rounded up to a multiple of 8 (at most all).
struct XEcomlaRanks {
  int64_t queries = 0, keys_and_values = 0;
};
XEcomlaRanks ranks_by_energy(const GqaWeights& gqa, double queries, double keys_and_values);

}  // namespace attnlab
