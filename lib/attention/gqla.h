// Group-query latent attention (GQLA, arXiv 2605.15250): MLA whose up-projections are shared by the query heads
// of a KV head, so that the same weights decode over the latent or over keys and values of the groups: what a
// device does faster at its batch. Of the paper the abstract is public; the formulas are our reading
// (grouped_latent.h).
//
// Cached: kv_lora_rank + r numbers per token over the latent, 2·G·H + r over the groups.
#pragma once

#include "attention/gathered_rotary.h"
#include "attention/variant.h"

namespace attnlab {

enum class GqlaDecode { latent, groups, automatic };
template <>
struct EnumNames<GqlaDecode> {
  static constexpr std::array<std::pair<std::string_view, GqlaDecode>, 3> rows{
      {{"latent", GqlaDecode::latent}, {"groups", GqlaDecode::groups}, {"auto", GqlaDecode::automatic}}};
};

struct GqlaOptions {
  std::optional<int64_t> kv_lora_rank;
  std::optional<int64_t> freqfold;
  int64_t collapse = 1;
  GqlaDecode decode = GqlaDecode::latent;
  bool absorb = true;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"kv_lora_rank", "latent numbers of keys and values; absent: all"}.at_least(1), self.kv_lora_rank);
    visit_gathered_rotary(self, visit);
    visit(
        Key{"decode",
            "what is cached: latent (small), groups (keys and values, as GQA does), or auto: what is faster on "
            "the device; sizes are told of the latent"},
        self.decode);
    visit(Key{"absorb", "over the latent: decode in its space"}, self.absorb);
  }
};

struct Gqla : GatheringVariant<GqlaOptions> {
  static constexpr std::string_view kName = "gqla";
  static constexpr MadeBy kMadeBy = MadeBy::moments;

  // As for gla, with one latent.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
