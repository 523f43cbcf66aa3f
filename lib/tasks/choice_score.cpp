#include "tasks/choice_score.h"

#include <algorithm>

#include "core/errors.h"
#include "tasks/unicode.h"

namespace attnlab {
namespace {

template <class Length>
int64_t best(std::span<const double> loglikelihood, Length length_of) {
  size_t chosen = 0;
  const auto value = [&](size_t i) {
    return loglikelihood[i] / static_cast<double>(std::max<int64_t>(1, length_of(i)));
  };
  for (size_t i = 1; i < loglikelihood.size(); ++i)
    if (value(i) > value(chosen)) chosen = i;
  return static_cast<int64_t>(chosen);
}

}  // namespace

Choice choose(std::span<const double> loglikelihood, const std::vector<std::string>& choices) {
  ATTNLAB_CHECK(!choices.empty() && loglikelihood.size() == choices.size());
  return {.by_sum = best(loglikelihood, [](size_t) { return int64_t{1}; }),
          .by_characters = best(loglikelihood, [&](size_t i) { return character_count(choices[i]); }),
          .by_bytes = best(loglikelihood, [&](size_t i) { return std::ssize(choices[i]); })};
}

ChoiceAccuracy choice_accuracy(const std::vector<ChoiceItem>& items,
                               const std::vector<std::vector<double>>& loglikelihoods) {
  ATTNLAB_CHECK(items.size() == loglikelihoods.size());
  ChoiceAccuracy accuracy{.n = std::ssize(items)};
  const double share = items.empty() ? 0 : 1 / static_cast<double>(items.size());
  int64_t sum = 0, characters = 0, bytes = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const Choice chosen = choose(loglikelihoods[i], items[i].choices);
    sum += chosen.by_sum == items[i].gold;
    characters += chosen.by_characters == items[i].gold;
    bytes += chosen.by_bytes == items[i].gold;
  }
  accuracy.acc = share * static_cast<double>(sum);
  accuracy.acc_norm = share * static_cast<double>(characters);
  accuracy.acc_bytes = share * static_cast<double>(bytes);
  return accuracy;
}

}  // namespace attnlab
