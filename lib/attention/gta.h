// Grouped-tied attention (GTA, arXiv 2505.21487): keys and values of a KV head are one state, and what turns of
// the keys is shared by all heads.
//
//   c_g = W_KV x + b            H numbers per KV head,   k_r = W_R x + b    r numbers for all heads
//   key_g = [c_g[0 : H - r], RoPE(k_r)],   value_g = c_g
//   query_n = [q_n[0 : H - r], RoPE(q_n[H - r : H])]
//   o_n = softmax(query_n key_gᵀ · scale) value_g,   g = ⌊n G / N⌋
//
// Cached: c and RoPE(k_r), G·H + r numbers per token where GQA keeps 2·G·H.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct Gta {
  static constexpr std::string_view kName = "gta";
  static constexpr MadeBy kMadeBy = MadeBy::moments;
  struct Config {
    std::optional<int64_t> qk_rope_head_dim;
    std::optional<bool> k_rope_bias;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"qk_rope_head_dim",
                "numbers of a key that turn, shared by all heads, even; absent: half of a head"}
                .at_least(2),
            self.qk_rope_head_dim);
      visit(Key{"k_rope_bias", "bias of the shared rotary key; absent: as the other keys"}, self.k_rope_bias);
    }
  };

  // A rotary part that is odd or does not divide the head, or a base of which rotary can't be taken.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static int64_t turning_dim(const AttentionShape& shape, const Config& config, int64_t base_turning_dim);
  // One KV head whose keys all turn loses nothing.
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  // G·H numbers and at least two that turn.
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  // Rotary gathered in r numbers as for mla_deepseek (rorope.h); of what the rest of each KV head's key and its
  // value say together the H principal directions, as if all inputs were equally likely, turned so that the
  // first H - r say most of the key. The queries and W_O take up what is left.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
