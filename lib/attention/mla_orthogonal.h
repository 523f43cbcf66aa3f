// MLA by orthogonal decomposition (TransMLA v1, arXiv 2502.07864v1): as mla_identity, but each KV head's
// repetition times [W | b] is replaced by its SVD factors. At full rank the model is the same function.
#pragma once

#include <optional>

#include "attention/variant.h"

namespace attnlab {

// How the singular values are shared between the up- and the down-projection.
enum class SingularSplit {
  balanced,  // up = U √S,  down = √S Vᵀ (the paper's)
  left,      // up = U,     down = S Vᵀ (orthonormal up-projection)
  right,     // up = U S,   down = Vᵀ  (orthonormal down-projection)
};

template <>
struct EnumNames<SingularSplit> {
  static constexpr std::array<std::pair<std::string_view, SingularSplit>, 3> rows{
      {{"balanced", SingularSplit::balanced}, {"left", SingularSplit::left}, {"right", SingularSplit::right}}};
};

struct MlaOrthogonal {
  static constexpr std::string_view kName = "mla_orthogonal";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
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

  // A rank below 1 or above head_dim, or a base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape& shape, const Config& config) {
    return latent_rank(shape, config) == shape.head_dim;
  }
  static int64_t latent_rank(const AttentionShape& shape, const Config& config) {
    return config.rank.value_or(shape.head_dim);
  }
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
