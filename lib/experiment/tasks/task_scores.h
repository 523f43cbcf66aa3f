// What a task's replies amount to: numbers with intervals, and the rows of an evaluation's file.
#pragma once

#include <string>
#include <vector>

#include "eval/task_run.h"
#include "results/evaluation_file.h"
#include "stats/mcnemar.h"

namespace attnlab {

// answer, code: for each protocol and each k pass@k (stats/pass_at_k.h), which is "accuracy" for one greedy
// reply to a question; with one reply a problem Wilson's 95 % interval, else Student's over problems. choice:
// acc, acc_norm and acc_bytes (tasks/choice_score.h), Wilson. perplexity: token_perplexity of windows side by
// side, word_perplexity, byte_perplexity and bits_per_byte of rolling ones, without intervals.
std::vector<ScoreRow> task_scores(const TaskResult& result);

TaskRecord task_record(const TaskResult& result);

// On how many replies two protocols disagree.
struct Disagreement {
  std::string first, second;
  Discordant replies;  // x: right under the first, y: under the second
};
std::vector<Disagreement> disagreements(const TaskRecord& task);

// A table of scores, then a line for each pair of protocols that disagree.
std::string format_scores(const std::vector<ScoreRow>& scores, const std::vector<TaskRecord>& tasks);

// What the tasks ask, and the smallest difference between two models that so many problems show with 80 % power
// at 5 % (paired, exact McNemar's test's normal approximation, stats/power.h), where the models disagree on a
// tenth or on a third of the problems. With several replies to a problem (seeds of training × samples), also
// what they would show if replies to one problem were independent: no design shows less than that.
std::string describe_tasks(const std::vector<TaskData>& tasks, int64_t seeds = 1);

}  // namespace attnlab
