// MLA by identity expansion (TransMLA v1, arXiv 2502.07864v1): the up-projections start as the 0/1 repetition
// of KV heads, so the converted model computes exactly what GQA did.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct MlaIdentity {
  static constexpr std::string_view kName = "mla_identity";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"absorb", "decode with values read straight from the latent"}, self.absorb);
    }
  };

  // A base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config&) {
    return mla_base_problem(shape);
  }
  static bool is_exact(const AttentionShape&, const Config&) { return true; }
  static int64_t latent_rank(const AttentionShape& shape, const Config&) { return shape.head_dim; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
