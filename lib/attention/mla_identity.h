// MLA by identity expansion (TransMLA v1, arXiv 2502.07864v1): the up-projections start as the 0/1 repetition
// of KV heads, so the converted model computes exactly what GQA did.
#pragma once

#include "attention/latent_attention.h"
#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

class MlaIdentity final : public LatentAttention {
 public:
  static constexpr std::string_view kName = "mla_identity";
  struct Config {
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"absorb", "decode with values read straight from the latent"}, self.absorb);
    }
  };

  MlaIdentity(const AttentionShape& shape, const Config& config)
      : LatentAttention(shape, per_kv_head(shape, shape.head_dim), config.absorb) {}
  // A base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config&) {
    return mla_base_problem(shape);
  }
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
