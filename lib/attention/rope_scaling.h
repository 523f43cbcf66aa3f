// The scalings of rotary frequencies that released models use, without torch.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/fields.h"

namespace attnlab {

enum class RopeType { linear, dynamic, llama3, yarn, longrope };
template <>
struct EnumNames<RopeType> {
  static constexpr std::array<std::pair<std::string_view, RopeType>, 5> rows{
      {{"linear", RopeType::linear},
       {"dynamic", RopeType::dynamic},
       {"llama3", RopeType::llama3},
       {"yarn", RopeType::yarn},
       {"longrope", RopeType::longrope}}};
};

// How the frequencies f_i = θ^(-2i/d) are changed, in the terms of Hugging Face's config.json and as its
// transformers 5.24 does it (modeling_rope_utils.py):
//   linear    f / factor                                         (position interpolation, arXiv 2306.15595)
//   dynamic   those of θ (factor L / original - factor + 1)^(d / (d - 2)) for sequences of L > original tokens,
//             original being the model's max_position_embeddings (NTK-aware: arXiv 2309.00071, section 3.3)
//   llama3    f for wavelengths below original / high, f / factor above original / low, between the two a
//             blend that is linear in original / wavelength       (LLaMA 3.1, arXiv 2407.21783)
//   yarn      f where a wavelength fits into original more than beta_fast times, f / factor below beta_slow
//             times, between the two a blend that is linear in i (its ends are rounded outwards with truncate),
//             and cos and sin times table_factor                  (YaRN, arXiv 2309.00071, section 3)
//   longrope  f / short_factors, or f / long_factors for sequences longer than original_positions, and cos and
//             sin times table_factor                              (arXiv 2402.13753)
struct RopeScaling {
  RopeType type = RopeType::linear;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  int64_t original_positions = 0;                    // all but linear
  std::optional<double> attention_factor;            // yarn, longrope; absent: see table_factor
  double beta_fast = 32, beta_slow = 1;              // yarn
  double mscale = 0, mscale_all_dim = 0;             // yarn; 0: not said
  bool truncate = true;                              // yarn
  std::vector<double> short_factors, long_factors;   // longrope: one for each frequency

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"type", "how rotary frequencies are scaled"}.must_be_given(), self.type);
    visit(Key{"factor", "how much longer the context is than in training"}.above(0), self.factor);
    visit(Key{"low_freq_factor", "llama3: wavelengths above original / this are stretched"}.above(0),
          self.low_freq_factor);
    visit(Key{"high_freq_factor", "llama3: wavelengths below original / this stay"}.above(0),
          self.high_freq_factor);
    visit(Key{"original_positions",
              "the context of the training before; dynamic: the model's max_positions; linear: 0"}
              .at_least(0),
          self.original_positions);
    visit(Key{"attention_factor", "yarn, longrope: factor on cos and sin"}.above(0), self.attention_factor);
    visit(Key{"beta_fast", "yarn: frequencies that turn more often in the original context stay"}.above(0),
          self.beta_fast);
    visit(Key{"beta_slow", "yarn: frequencies that turn less often in it are stretched"}.above(0),
          self.beta_slow);
    visit(
        Key{"mscale", "yarn: numerator of attention_factor, where that is not given; 0: not said"}.at_least(0),
        self.mscale);
    visit(Key{"mscale_all_dim",
              "yarn: its denominator; DeepSeek's scores are multiplied by its square, too; 0: not said"}
              .at_least(0),
          self.mscale_all_dim);
    visit(Key{"truncate", "yarn: the ends of the blend are whole numbers"}, self.truncate);
    visit(Key{"short_factors", "longrope: divisors of the frequencies up to original_positions"},
          self.short_factors);
    visit(Key{"long_factors", "longrope: divisors of the frequencies above it"}, self.long_factors);
  }

  // What cos and sin are multiplied by: attention_factor or, without it, √(1 + ln factor / ln original)
  // (longrope), m(mscale) / m(mscale_all_dim) where both are said and else m(1) (yarn), with
  // m(s) = 1 + 0.1 s ln factor, and 1 for factors up to 1. 1 for the other types.
  double table_factor() const;
  // What DeepSeek's modules multiply their scores by beside that: m(mscale_all_dim)² (yarn; 1 where it is not
  // said). transformers 5.24: yarn_apply_mscale in modeling_deepseek_v2.py and _v3.py.
  double mla_score_factor() const;
  // The same tables, their factor said by attention_factor alone: for a model whose family gives
  // mscale_all_dim another meaning.
  RopeScaling with_plain_factor() const;
  // Frequencies depend on how many numbers of a head turn, not on θ^(-2i/d) and the length alone.
  bool by_width() const { return type == RopeType::dynamic || type == RopeType::yarn; }
};

}  // namespace attnlab
