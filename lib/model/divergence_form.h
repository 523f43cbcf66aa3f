// How far a student's next-token distribution q is from its teacher's p, without torch.
//
// p = softmax(t / τ), q = softmax(s / τ) of the logits t and s at one position. A loss's gradient in s is
// (h - q Σ h) / τ with h = q ∂loss/∂q.
#pragma once

#include <cstdint>

#include "core/names.h"

namespace attnlab {

enum class Divergence {
  forward_kl,  // τ² Σ p (ln p - ln q)
  reverse_kl,  // τ² Σ q (ln q - ln p)
  jsd,  // β KL(p‖m) + (1 - β) KL(q‖m), m = β p + (1 - β) q (arXiv 2306.13649); no τ². β = 0 is defined as
        // KL(p‖q), β = 1 as KL(q‖p)
};
template <>
struct EnumNames<Divergence> {
  using enum Divergence;
  static constexpr std::array<std::pair<std::string_view, Divergence>, 3> rows{
      {{"forward_kl", forward_kl}, {"reverse_kl", reverse_kl}, {"jsd", jsd}}};
};

// What becomes of the tokens beyond the teacher's k likeliest.
enum class TopkForm {
  tail_bucket,    // one outcome more, with what is left of p and of q: never above the loss over all tokens
  renormalised,   // they are left out, and both softmaxes are over k tokens
  partial,        // their terms are left out of Σ p (ln p - ln q): may be negative, smallest not at q = p
  cross_entropy,  // -Σ p ln q over k tokens: the gradient of `partial`
};
template <>
struct EnumNames<TopkForm> {
  using enum TopkForm;
  static constexpr std::array<std::pair<std::string_view, TopkForm>, 4> rows{
      {{"tail_bucket", tail_bucket},
       {"renormalised", renormalised},
       {"partial", partial},
       {"cross_entropy", cross_entropy}}};
};

struct DivergenceForm {
  Divergence loss = Divergence::forward_kl;
  double temperature = 1;  // τ
  double beta = 0.5;       // of jsd
  int64_t top_k = 0;       // 0, or as many as there are tokens: all of them
  TopkForm top_k_form = TopkForm::tail_bucket;
};

// `partial` and `cross_entropy` are forms of forward KL alone.
constexpr bool fits(TopkForm form, Divergence loss) {
  return loss == Divergence::forward_kl || form == TopkForm::tail_bucket || form == TopkForm::renormalised;
}

}  // namespace attnlab
