// The scalings of rotary frequencies that released models use, without torch.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/fields.h"

namespace attnlab {

enum class RopeType { linear, llama3, longrope };
template <>
struct EnumNames<RopeType> {
  static constexpr std::array<std::pair<std::string_view, RopeType>, 3> rows{
      {{"linear", RopeType::linear}, {"llama3", RopeType::llama3}, {"longrope", RopeType::longrope}}};
};

// How the frequencies f_i = θ^(-2i/d) are changed, in the terms of Hugging Face's config.json:
//   linear    f / factor                                         (position interpolation, arXiv 2306.15595)
//   llama3    f for wavelengths below original / high, f / factor above original / low, between the two a
//             blend that is linear in original / wavelength       (LLaMA 3.1, arXiv 2407.21783)
//   longrope  f / short_factors, or f / long_factors for sequences longer than original_positions, and cos and
//             sin times attention_factor                          (arXiv 2402.13753)
struct RopeScaling {
  RopeType type = RopeType::linear;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  int64_t original_positions = 0;                    // llama3, longrope
  std::optional<double> attention_factor;            // longrope; absent: √(1 + ln factor / ln original)
  std::vector<double> short_factors, long_factors;   // longrope: one for each frequency

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"type", "how rotary frequencies are scaled"}.must_be_given(), self.type);
    visit(Key{"factor", "how much longer the context is than in training"}.above(0), self.factor);
    visit(Key{"low_freq_factor", "llama3: wavelengths above original / this are stretched"}.above(0),
          self.low_freq_factor);
    visit(Key{"high_freq_factor", "llama3: wavelengths below original / this stay"}.above(0),
          self.high_freq_factor);
    visit(Key{"original_positions", "llama3, longrope: the context of the training before"}.at_least(0),
          self.original_positions);
    visit(Key{"attention_factor", "longrope: factor on cos and sin"}.above(0), self.attention_factor);
    visit(Key{"short_factors", "longrope: divisors of the frequencies up to original_positions"},
          self.short_factors);
    visit(Key{"long_factors", "longrope: divisors of the frequencies above it"}, self.long_factors);
  }
};

}  // namespace attnlab
