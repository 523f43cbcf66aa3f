// Perplexities from log-likelihoods (natural logarithm), weighted over all texts.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace attnlab {

struct TextLikelihood {
  double loglikelihood = 0;  // summed over the text's tokens
  int64_t words = 0, bytes = 0;
};

// Words: the pieces of a split at white space, the empty ones at the ends too; bytes: of UTF-8 (lm_eval).
TextLikelihood text_likelihood(double loglikelihood, std::string_view text);

// exp(-Σ loglikelihood / Σ words), exp(-Σ loglikelihood / Σ bytes), -Σ loglikelihood / Σ bytes / ln 2. NaN for
// no texts.
double word_perplexity(std::span<const TextLikelihood> texts);
double byte_perplexity(std::span<const TextLikelihood> texts);
double bits_per_byte(std::span<const TextLikelihood> texts);

// exp(-loglikelihood / tokens)
double token_perplexity(double loglikelihood, int64_t tokens);

}  // namespace attnlab
