// The file of one evaluation: what a model replied to tasks, and how it scored. results/README.md describes the
// layout.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/fields.h"

namespace attnlab {

// One number of one task.
struct ScoreRow {
  std::string task, protocol, metric;   // protocol: "" for tasks that have one way of scoring
  double value = 0, low = 0, high = 0;  // ends NaN where there is no interval
  int64_t n = 0;                        // problems, items or tokens that the value is of

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"n", "problems, items or tokens that it is of"}, self.n);
    visit(Key{"value", "the score"}, self.value);
    visit(Key{"low", "lower end of its 95 % interval over problems, or NaN"}, self.low);
    visit(Key{"high", "upper end"}, self.high);
    visit(Key{"task", "label of the task"}, self.task);
    visit(Key{"protocol", "how replies were scored"}, self.protocol);
    visit(Key{"metric", "what was measured"}, self.metric);
  }
};

struct ReplyRow {
  int64_t problem = 0, sample = 0;
  std::string id, text;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"problem", "number of the problem, from 0"}, self.problem);
    visit(Key{"sample", "which reply to it, from 0"}, self.sample);
    visit(Key{"id", "the data's name of the problem"}, self.id);
    visit(Key{"reply", "what the model wrote"}, self.text);
  }
};

// What a protocol made of the reply of the same place in /replies.
struct JudgementRow {
  int64_t problem = 0, sample = 0, correct = 0;
  std::string extracted, result;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"problem", "number of the problem"}, self.problem);
    visit(Key{"sample", "which reply to it"}, self.sample);
    visit(Key{"correct", "1: right, 0: wrong"}, self.correct);
    visit(Key{"extracted", "the answer or program found in the reply"}, self.extracted);
    visit(Key{"result", "how it was judged"}, self.result);
  }
};

struct ChoiceRow {
  int64_t item = 0, choice = 0;
  double log_likelihood = 0;
  int64_t greedy = 0, gold = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"item", "number of the item"}, self.item);
    visit(Key{"choice", "number of the choice"}, self.choice);
    visit(Key{"log_likelihood", "of the choice behind the context, nats"}, self.log_likelihood);
    visit(Key{"greedy", "1: the model would say it"}, self.greedy);
    visit(Key{"gold", "1: the right choice"}, self.gold);
  }
};

struct TaskRecord {
  std::string label;
  FlatFields config;  // of the task
  std::vector<ReplyRow> replies;
  std::vector<std::pair<std::string, std::vector<JudgementRow>>> judgements;  // by protocol
  std::vector<ChoiceRow> choices;
};

struct EvaluationRecord {
  FlatFields provenance;  // model, hashes, versions, hardware
  std::vector<TaskRecord> tasks;
  std::vector<ScoreRow> scores;
  std::filesystem::path path;
};

// Evaluations of a run's model lie beside its file: <arm>/tasks.seed0.step100.h5 for <arm>/seed0.h5. The
// beginning of their names: "tasks.seed0.step".
std::string tasks_prefix(const std::filesystem::path& run_file);
std::filesystem::path tasks_file(const std::filesystem::path& run_file, int64_t step);
// All that there are, by step.
std::vector<std::pair<int64_t, std::filesystem::path>> tasks_files(const std::filesystem::path& run_file);

// Replaces `path` as a whole. Texts longer than 14000 bytes are cut at a character. Throws RunError.
void write_evaluation(const std::filesystem::path& path, const EvaluationRecord& record);
// Throws InputError if there is no evaluation at `path`.
EvaluationRecord read_evaluation(const std::filesystem::path& path);

}  // namespace attnlab
