// TransMLA v2 (arXiv 2502.07864v2): KV heads merged into groups, and up-projections on the query's side.
//
// G KV heads of width H become g groups of width W = (G / g)·H; a group's latent keys (values) are those of its
// KV heads, side by side. Query head n reads group ⌊n g / N⌋:
//
//   q'_n = U_nᵀ q_n                                        U_n [H, W]
//   o_n  = V_n softmax(RoPE(q'_n) RoPE(k_group)ᵀ / √H) v_group     V_n [H, W]
//
// U_n and V_n start as the 0/1 selection of the head's own KV head inside the group: the layer starts as GQA,
// and training can let a query head read the other KV heads of its group. Both keep GQA's cache, 2·G·H numbers.
#pragma once

#include <array>

#include "attention/variant.h"

namespace attnlab {

// What rotary turns of the W numbers of a group.
enum class GroupRope {
  repeat,  // each KV head's H numbers as in the base: exact
  extend,  // all W as one head, with W / 2 frequencies θ^(-2i/W): another function than the base's
};

template <>
struct EnumNames<GroupRope> {
  static constexpr std::array<std::pair<std::string_view, GroupRope>, 2> rows{
      {{"repeat", GroupRope::repeat}, {"extend", GroupRope::extend}}};
};

struct MlaV2 {
  static constexpr std::string_view kName = "mla_v2";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    int64_t groups = 1;
    GroupRope rope = GroupRope::repeat;
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"groups", "groups that the KV heads are merged into; divides n_kv_heads"}.at_least(1),
            self.groups);
      visit(Key{"rope", "rotary over each KV head of a group as in the base, or over the group as one head"},
            self.rope);
      visit(
          Key{"absorb",
              "which parameters there are, in training too: up-projections inside q_proj and o_proj, or apart"},
          self.absorb);
    }
  };

  // An MLA base; groups that do not divide the KV heads; `extend` on a base with partial rotary or a factor per
  // frequency, which say nothing about W numbers; `absorb` across the norm of query heads.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // W with `extend`.
  static int64_t turning_dim(const AttentionShape& shape, const Config& config, int64_t base_turning_dim);
  static bool is_exact(const AttentionShape&, const Config& config) { return config.rope == GroupRope::repeat; }
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
