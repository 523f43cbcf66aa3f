// Grouped latent attention (GLA, arXiv 2505.21487): h latents, each for the query heads of its part, so that
// devices that share a layer's heads hold a latent each. From GQA a latent holds the keys without rotary and
// the values of its KV heads (grouped_latent.h).
//
// Cached: h·w + r numbers per token, w the latents' width and r what turns.
#pragma once

#include "attention/gathered_rotary.h"
#include "attention/variant.h"

namespace attnlab {

struct GlaOptions {
  std::optional<int64_t> latent_heads;
  std::optional<int64_t> latent_width;
  std::optional<int64_t> freqfold;
  int64_t collapse = 1;
  bool absorb = true;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"latent_heads", "latents, a divisor of the KV heads; absent: 2, of an odd number of heads 1"}
              .at_least(1),
          self.latent_heads);
    visit(
        Key{"latent_width", "numbers of a latent; absent: all, which the latents lose nothing by"}.at_least(1),
        self.latent_width);
    visit_gathered_rotary(self, visit);
    visit(Key{"absorb", "decode in the latent space"}, self.absorb);
  }
};

struct Gla : GatheringVariant<GlaOptions> {
  static constexpr std::string_view kName = "gla";
  static constexpr MadeBy kMadeBy = MadeBy::moments;

  // Latents that don't divide the KV heads, wider ones than their heads' keys and values, freqfold or collapse
  // that don't divide, or a base of which rotary can't be taken.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // One KV head that keeps rotary position on all its numbers, in whole latents.
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
