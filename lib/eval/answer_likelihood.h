// How likely a model finds answers: those of the data, and its own that are right.
#pragma once

#include <limits>

#include "eval/exact_match.h"

namespace attnlab {

struct AnswerLikelihoodOptions {
  std::optional<int64_t> bos_id;  // starts every prompt, if given
  int64_t eos_id = 0;             // ends an answer; stands for a prompt that is empty
  Precision precision = Precision::float32;
};

struct AnswerLikelihood {
  double mean = std::numeric_limits<double>::quiet_NaN();  // nats; NaN: no answer
  int64_t answers = 0, tokens = 0;
};
struct AnswerLikelihoods {
  AnswerLikelihood reference, own;
};

// Log-likelihoods, summed over an answer's tokens and the one that ends it, means over answers: a measure that
// moves where accuracies of zero or one do not. Of its own right answers a model that only sharpens what it
// says gains, too; of reference answers it does not. Prompt and answer are encoded apart, as in training. What
// is longer than the model's window is left out. `answers`: of these problems, in order.
AnswerLikelihoods answer_likelihoods(Decoder& decoder, const Tokenizer& tokenizer,
                                     const std::vector<Example>& problems, const std::vector<Answered>& answers,
                                     const AnswerLikelihoodOptions& options);

}  // namespace attnlab
