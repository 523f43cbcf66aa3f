// Grouped-query attention (arXiv 2305.13245). n_kv_heads = n_heads is MHA, n_kv_heads = 1 is MQA.
#pragma once

#include "attention/attention.h"

namespace attnlab {

class Gqa final : public Attention {
 public:
  static constexpr std::string_view kName = "gqa";
  struct Config {
    template <class Self, class Visitor>
    static void fields(Self&, Visitor&&) {}
  };

  Gqa(const AttentionShape& shape, const Config& config);
  // A base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config&) {
    return mla_base_problem(shape);
  }
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);

  torch::Tensor forward(const AttentionInput& input) override;
  std::vector<CacheSlot> cache_layout() const override;

 private:
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  QkNorm norm_;
};

}  // namespace attnlab
