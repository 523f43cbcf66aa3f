#include "tasks/perplexity.h"

#include <cmath>
#include <iterator>
#include <limits>

#include "tasks/unicode.h"

namespace attnlab {
namespace {

// -Σ loglikelihood / Σ units
double loss_per(std::span<const TextLikelihood> texts, int64_t TextLikelihood::*unit) {
  double sum = 0;
  int64_t units = 0;
  for (const auto& text : texts) {
    sum += text.loglikelihood;
    units += text.*unit;
  }
  return units == 0 ? std::numeric_limits<double>::quiet_NaN() : -sum / static_cast<double>(units);
}

}  // namespace

TextLikelihood text_likelihood(double loglikelihood, std::string_view text) {
  return {.loglikelihood = loglikelihood, .words = word_count(text), .bytes = std::ssize(text)};
}

double word_perplexity(std::span<const TextLikelihood> texts) {
  return std::exp(loss_per(texts, &TextLikelihood::words));
}
double byte_perplexity(std::span<const TextLikelihood> texts) {
  return std::exp(loss_per(texts, &TextLikelihood::bytes));
}
double bits_per_byte(std::span<const TextLikelihood> texts) {
  return loss_per(texts, &TextLikelihood::bytes) / std::log(2.0);
}
double token_perplexity(double loglikelihood, int64_t tokens) {
  return std::exp(-loglikelihood / static_cast<double>(tokens));
}

}  // namespace attnlab
