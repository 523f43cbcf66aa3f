#include "compare/answers.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "stats/crossed.h"
#include "stats/mcnemar.h"

namespace attnlab {
namespace {

bool same_problems(const Answers& a, const Answers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& left, const auto& right) { return left.first == right.first; });
}

std::vector<double> values_of(const Answers& answers) {
  std::vector<double> values;
  for (const auto& [problem, value] : answers) values.push_back(value);
  return values;
}

bool all_or_nothing(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == 0 || value == 1; });
}

// Nothing where seeds were asked different problems, or none.
std::optional<CrossedScores> crossed(const AnswersBySeed& by_seed) {
  CrossedScores scores{.n_seeds = std::ssize(by_seed), .values = {}};
  if (by_seed.empty()) return std::nullopt;
  const Answers& first = by_seed.begin()->second;
  scores.n_problems = std::ssize(first);
  for (const auto& [seed, answers] : by_seed) {
    if (answers.empty() || !same_problems(answers, first)) return std::nullopt;
    for (const auto& [problem, value] : answers) scores.values.push_back(value);
  }
  return scores;
}

Answers shares_of(const std::map<int64_t, std::pair<double, double>>& sums) {
  Answers answers;
  for (const auto& [problem, sum] : sums) answers[problem] = sum.first / sum.second;
  return answers;
}

double mean_of(const Answers& answers) { return mean_and_error(values_of(answers)).mean; }

Interval over_problems(const std::vector<double>& values, double confidence) {
  if (!all_or_nothing(values)) return bounded_mean_interval(values, share_bounds, confidence);
  return wilson_interval(std::count(values.begin(), values.end(), 1.0), std::ssize(values), confidence);
}

void compare_problems(PairedDifference& found, const Answers& x, const Answers& y, double confidence) {
  const std::vector<double> a = values_of(x), b = values_of(y);
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  found.difference = bounded_mean_interval(differences, difference_bounds, confidence);
  if (!all_or_nothing(a) || !all_or_nothing(b)) return;
  const std::vector<uint8_t> right_a(a.begin(), a.end()), right_b(b.begin(), b.end());
  const Discordant pairs = count_discordant(right_a, right_b);
  found.p = mcnemar(pairs.only_x, pairs.only_y).mid_p;
}

void compare_seeds(PairedDifference& found, const AnswersBySeed& x, const AnswersBySeed& y, double confidence) {
  const auto ours = crossed(x), theirs = crossed(y);
  if (!ours || !theirs) return;
  const CrossedMean mean = crossed_mean(crossed_difference(*ours, *theirs), difference_bounds, confidence);
  found.difference = mean.interval;
  found.p = mean.p;
  found.df = mean.df;
  found.student = {.mean = mean.centre, .standard_error = mean.standard_error};
  found.t = mean.centre / mean.standard_error;
  found.p_greater = found.t > 0 ? found.p / 2 : 1 - found.p / 2;
}

}  // namespace

Answers answers_at(const RunRecord& run, int64_t step) {
  std::map<int64_t, std::pair<double, double>> sums;
  for (const auto& row : run.answers) {
    if (row.step != step) continue;
    sums[row.index].first += static_cast<double>(row.correct);
    sums[row.index].second += 1;
  }
  return shares_of(sums);
}

Answers answers_of(const std::vector<JudgementRow>& rows) {
  std::map<int64_t, std::pair<double, double>> sums;
  for (const auto& row : rows) {
    sums[row.problem].first += static_cast<double>(row.correct);
    sums[row.problem].second += 1;
  }
  return shares_of(sums);
}

Answers last_answers(const RunRecord& run) {
  return run.evaluations.empty() ? Answers{} : answers_at(run, run.evaluations.back().step);
}

Interval share_right(const AnswersBySeed& by_seed, double confidence) {
  std::vector<double> means;
  for (const auto& [seed, answers] : by_seed) means.push_back(mean_of(answers));
  if (by_seed.size() == 1) return over_problems(values_of(by_seed.begin()->second), confidence);
  if (const auto scores = crossed(by_seed)) return crossed_mean(*scores, share_bounds, confidence).interval;
  return {.value = mean_and_error(means).mean, .n = std::ssize(means)};
}

std::optional<CrossedScores> crossed_difference_of(const AnswersBySeed& x, const AnswersBySeed& y) {
  AnswersBySeed ours, theirs;
  for (const auto& [seed, answers] : x) {
    const auto other = y.find(seed);
    if (other == y.end() || answers.empty() || !same_problems(answers, other->second)) continue;
    ours[seed] = answers;
    theirs[seed] = other->second;
  }
  const auto a = crossed(ours), b = crossed(theirs);
  if (!a || !b) return std::nullopt;
  return crossed_difference(*a, *b);
}

AnswersDifference difference_in_right(const AnswersBySeed& x, const AnswersBySeed& y, double confidence) {
  AnswersDifference result;
  AnswersBySeed ours, theirs;
  std::vector<double> means, others;
  for (const auto& [seed, answers] : x) {
    const auto other = y.find(seed);
    if (other == y.end() || answers.empty() || !same_problems(answers, other->second)) continue;
    ours[seed] = answers;
    theirs[seed] = other->second;
    means.push_back(mean_of(answers));
    others.push_back(mean_of(other->second));
    result.seed_differences.push_back(means.back() - others.back());
  }
  if (ours.empty()) return result;
  const PairedDifference over_seeds = paired_difference(means, others, confidence);
  result.found.effect_size = over_seeds.effect_size;
  result.found.difference = {.value = over_seeds.difference.value, .n = std::ssize(means)};
  if (ours.size() > 1)
    compare_seeds(result.found, ours, theirs, confidence);
  else
    compare_problems(result.found, ours.begin()->second, theirs.begin()->second, confidence);
  return result;
}

}  // namespace attnlab
