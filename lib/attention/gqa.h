// Grouped-query attention (arXiv 2305.13245). n_kv_heads = n_heads is MHA, n_kv_heads = 1 is MQA.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct Gqa {
  static constexpr std::string_view kName = "gqa";
  static constexpr MadeBy kMadeBy = MadeBy::base;
  struct Config {
    template <class Self, class Visitor>
    static void fields(Self&, Visitor&&) {}
  };

  // A base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config&) {
    return mla_base_problem(shape);
  }
  static bool is_exact(const AttentionShape&, const Config&) { return true; }
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
