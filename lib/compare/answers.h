// Which problems were solved: shares and their differences, whose intervals know that other problems, and other
// seeds, would have gone otherwise.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "results/evaluation_file.h"
#include "results/run_reader.h"
#include "stats/crossed.h"

namespace attnlab {

// Of one run: by problem, 1 if it is right, 0 if wrong, or the share of its replies that are right.
using Answers = std::map<int64_t, double>;
using AnswersBySeed = std::map<int64_t, Answers>;

// Of the evaluation at that step; none if it asked nothing, or the file does not tell problems apart. Several
// rows of a problem are several replies.
Answers answers_at(const RunRecord& run, int64_t step);
// Of the judgements of a task under one protocol.
Answers answers_of(const std::vector<JudgementRow>& rows);
// Of the last evaluation.
Answers last_answers(const RunRecord& run);

// The share that is right, mean over seeds. Several seeds that were asked the same problems: seeds and problems
// are both random (crossed_mean with share_bounds); asked others: no ends. One seed: over problems alone,
// Wilson's interval, or that of bounded_mean_interval where a problem has several replies. n counts seeds, or
// of one seed the problems.
Interval share_right(const AnswersBySeed& by_seed, double confidence = 0.95);

// x less y over the seeds that both have and in which both were asked the same problems; n as above. Several
// seeds: crossed_mean with difference_bounds. One seed: over problems alone, the interval of
// bounded_mean_interval with difference_bounds, p of McNemar's test (mid-p) where each problem has one reply.
struct AnswersDifference {
  PairedDifference found;                // effect_size: over seeds
  std::vector<double> seed_differences;  // of those seeds, in their order
};
AnswersDifference difference_in_right(const AnswersBySeed& x, const AnswersBySeed& y, double confidence = 0.95);

// One number a seed and problem, over the seeds that both have and in which both were asked the same problems.
// Nothing where there is no such seed, or these were asked different problems.
std::optional<CrossedScores> crossed_difference_of(const AnswersBySeed& x, const AnswersBySeed& y);

}  // namespace attnlab
