// Accuracy of multiple choice, given what the model thinks of each continuation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tasks/choice_item.h"

namespace attnlab {

// Indices of the chosen continuations; of equals the first.
struct Choice {
  int64_t by_sum = 0;  // the largest log-likelihood (acc)
  int64_t by_characters =
      0;                 // the largest per character of the choice: Unicode code points (acc_norm of lm_eval)
  int64_t by_bytes = 0;  // the largest per byte of UTF-8 (as older releases and papers say)
};

// `loglikelihood`: one sum a choice, natural logarithm. An empty choice counts as one character long.
Choice choose(std::span<const double> loglikelihood, const std::vector<std::string>& choices);

struct ChoiceAccuracy {
  double acc = 0, acc_norm = 0, acc_bytes = 0;  // shares of the items
  int64_t n = 0;
};

// `loglikelihoods`: for each item one sum a choice.
ChoiceAccuracy choice_accuracy(const std::vector<ChoiceItem>& items,
                               const std::vector<std::vector<double>>& loglikelihoods);

}  // namespace attnlab
