// The attention of DeepSeek bases (DeepSeek-V2, arXiv 2405.04434): see deepseek_attention.h.
#pragma once

#include "attention/deepseek_attention.h"

namespace attnlab {

class DeepseekMla final : public DeepseekAttention {
 public:
  static constexpr std::string_view kName = "deepseek_mla";
  struct Config {
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"absorb", "decode in the latent space"}, self.absorb);
    }
  };

  DeepseekMla(const AttentionShape& shape, const Config& config);
  // A base whose attention is not MLA.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // Never called: `problem` refuses GQA bases, and MLA ones are taken as they are.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
