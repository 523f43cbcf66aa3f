// MHA2MLA (arXiv 2502.14837): rotary position kept by a few frequencies of each head alone, the rest of the
// keys compressed jointly with the values.
//
//   c = W_KVA x + b [R],   k_rope = W_KR x + b  [G, r]      c and RoPE(k_rope) are what the cache keeps
//   [k_nope, v] = W_KVB c                                   per KV head, [H - r] and [H]
//   [q_nope, q_rope] = W_Q x + b                            per query head; n reads KV head g = ⌊n G / N⌋
//   o_n = softmax((q_nope k_nopeᵀ + RoPE(q_rope) RoPE(k_rope)ᵀ) · scale) v_g
//
// Each KV head has frequencies of its own: the layer holds their places in the base's rotary table. With
// `absorb`, decoding moves W_KVB's key part into the query and its value part behind the sum, and reads the
// latent cache once. Cached: R + G·r numbers per token.
#pragma once

#include "attention/variant.h"

namespace attnlab {

// Which rotary frequencies of each KV head keep position (rope_selection.h).
enum class RopeSelect {
  norm,     // those whose pairs of queries and keys are the largest
  high,     // the fastest
  uniform,  // evenly spaced, from the fastest on
};
template <>
struct EnumNames<RopeSelect> {
  static constexpr std::array<std::pair<std::string_view, RopeSelect>, 3> rows{
      {{"norm", RopeSelect::norm}, {"high", RopeSelect::high}, {"uniform", RopeSelect::uniform}}};
};

struct Mha2Mla {
  static constexpr std::string_view kName = "mha2mla";
  static constexpr MadeBy kMadeBy = MadeBy::mha2mla;
  struct Config {
    std::optional<int64_t> kv_lora_rank;
    std::optional<int64_t> qk_rope_head_dim;
    RopeSelect select = RopeSelect::norm;
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"kv_lora_rank", "latent numbers of keys and values; absent: all, which loses nothing"}.at_least(
                1),
            self.kv_lora_rank);
      visit(Key{"qk_rope_head_dim", "numbers of a head that keep rotary position, even; absent: half of them"}
                .at_least(2),
            self.qk_rope_head_dim);
      visit(Key{"select", "which frequencies keep it: norm, high or uniform"}, self.select);
      visit(Key{"absorb", "decode in the latent space"}, self.absorb);
    }
  };

  // A rank above the full one, an odd rotary part or one wider than a head, or a base of which rotary can't be
  // taken.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  // Without calibration: frequencies by the norms of weights.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

// r: numbers of a head that keep rotary position.
int64_t rope_dim_of(const AttentionShape& shape, const Mha2Mla::Config& config);
// Latent numbers of keys and values that lose nothing: G·(H - r) + G·H.
int64_t full_kv_rank(const AttentionShape& shape, const Mha2Mla::Config& config);

}  // namespace attnlab
