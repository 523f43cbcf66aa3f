// The attention of DeepSeek bases (DeepSeek-V2, arXiv 2405.04434): see deepseek_attention.h.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct DeepseekMla {
  static constexpr std::string_view kName = "deepseek_mla";
  static constexpr MadeBy kMadeBy = MadeBy::nothing;
  struct Config {
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"absorb", "decode in the latent space"}, self.absorb);
    }
  };

  // A base whose attention is not MLA.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape&, const Config&) { return true; }
  static int64_t latent_rank(const AttentionShape& shape, const Config&) {
    return shape.mla ? shape.mla->kv_lora_rank : 0;
  }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  // Never called: `problem` refuses GQA bases, and MLA ones are taken as they are.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
