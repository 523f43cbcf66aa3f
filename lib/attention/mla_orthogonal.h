// MLA by orthogonal decomposition (TransMLA v1, arXiv 2502.07864v1): as mla_identity, but each KV head's
// repetition times [W | b] is replaced by its SVD factors. At full rank the model is the same function.
#pragma once

#include <optional>

#include "attention/factorize.h"
#include "attention/latent_attention.h"
#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

class MlaOrthogonal final : public LatentAttention {
 public:
  static constexpr std::string_view kName = "mla_orthogonal";
  struct Config {
    SingularSplit split = SingularSplit::balanced;
    std::optional<int64_t> rank;  // numbers kept per KV head and latent; absent: head_dim, which is exact
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"split", "how singular values are shared between the two factors"}, self.split);
      visit(Key{"rank", "latent numbers per KV head; absent: head_dim (exact)"}.at_least(1), self.rank);
      visit(Key{"absorb", "decode with values read straight from the latent"}, self.absorb);
    }
  };

  MlaOrthogonal(const AttentionShape& shape, const Config& config)
      : LatentAttention(shape, per_kv_head(shape, config.rank.value_or(shape.head_dim)), config.absorb) {}
  // A rank below 1 or above head_dim, or a base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
