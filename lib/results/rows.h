// The rows of a run file. Each struct's field visitor gives the columns of its table, in this order and under
// these names.
#pragma once

#include <cstdint>
#include <string>

#include "core/fields.h"

namespace attnlab {

struct TrainRow {
  int64_t step = 0, tokens = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0, tokens_per_second = 0, seconds = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "optimizer steps done"}, self.step);
    visit(Key{"tokens", "trained tokens since step 0, padding not counted"}, self.tokens);
    visit(Key{"loss", "training loss, nats per trained token"}, self.loss);
    visit(Key{"learning_rate", "rate of this step"}, self.learning_rate);
    visit(Key{"gradient_norm", "2-norm over all trained parameters before clipping"}, self.gradient_norm);
    visit(Key{"tokens_per_second", "trained tokens per second since the row before"}, self.tokens_per_second);
    visit(Key{"seconds", "training time since step 0"}, self.seconds);
  }
};

// What a teacher said of a step (train.distill); `loss` of the same step in /train stays the cross-entropy.
struct DistillationRow {
  int64_t step = 0;
  double divergence = 0, layer_distance = 0, objective = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "optimizer steps done"}, self.step);
    visit(Key{"divergence", "from the teacher's predictions, nats per trained token"}, self.divergence);
    visit(Key{"layer_distance", "from the teacher's layers, summed over layers, per trained token"},
          self.layer_distance);
    visit(Key{"objective", "what the step's gradient is of"}, self.objective);
  }
};

// A step that was not applied.
struct NonfiniteRow {
  int64_t step = 0;
  double loss = 0, gradient_norm = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "the step that would have been"}, self.step);
    visit(Key{"loss", "training loss, nats per trained token"}, self.loss);
    visit(Key{"gradient_norm", "2-norm over all trained parameters"}, self.gradient_norm);
  }
};

struct EvaluationRow {
  int64_t step = 0;
  double heldout_loss = 0;
  int64_t heldout_tokens = 0;
  double accuracy = 0;
  int64_t correct = 0, problems = 0;
  double seconds = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "optimizer steps done"}, self.step);
    visit(Key{"heldout_loss", "nats per held-out token"}, self.heldout_loss);
    visit(Key{"heldout_tokens", "tokens that the held-out loss is the mean of"}, self.heldout_tokens);
    visit(Key{"accuracy", "correct / problems"}, self.accuracy);
    visit(Key{"correct", "problems answered correctly"}, self.correct);
    visit(Key{"problems", "problems asked"}, self.problems);
    visit(Key{"seconds", "time of this evaluation"}, self.seconds);
  }
};

// How likely the answers of an evaluation are (eval.likelihoods).
struct LikelihoodRow {
  int64_t step = 0;
  double reference = 0, own = 0;
  int64_t references = 0, reference_tokens = 0, owns = 0, own_tokens = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "optimizer steps done"}, self.step);
    visit(Key{"reference", "log-likelihood of a reference answer behind its prompt, nats, mean over problems"},
          self.reference);
    visit(Key{"own", "the same of the answers that the model itself wrote and that are right; NaN: none is"},
          self.own);
    visit(Key{"references", "reference answers that it is the mean of"}, self.references);
    visit(Key{"reference_tokens", "tokens of these"}, self.reference_tokens);
    visit(Key{"owns", "right answers of the model's own"}, self.owns);
    visit(Key{"own_tokens", "tokens of these"}, self.own_tokens);
  }
};

struct ProblemRow {
  int64_t step = 0, index = 0;
  std::string prompt, gold, output, extracted;
  int64_t correct = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "step of the evaluation"}, self.step);
    visit(Key{"index", "number of the problem in its data set"}, self.index);
    visit(Key{"prompt", "what the model was given"}, self.prompt);
    visit(Key{"gold", "the right answer"}, self.gold);
    visit(Key{"output", "what the model wrote"}, self.output);
    visit(Key{"extracted", "the answer found in the output"}, self.extracted);
    visit(Key{"correct", "1: right, 0: wrong"}, self.correct);
  }
};

// Of a ProblemRow what tells who was right, which is read without the texts.
struct AnswerRow {
  int64_t step = 0, index = 0, correct = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"step", "step of the evaluation"}, self.step);
    visit(Key{"index", "number of the problem in its data set"}, self.index);
    visit(Key{"correct", "1: right, 0: wrong"}, self.correct);
  }
};

// The one row of /status.
struct StatusRow {
  int64_t state = 0, last_step = 0;
  std::string message;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"state", "0 running, 1 complete, 2 failed"}, self.state);
    visit(Key{"last_step", "optimizer steps done when the state was set"}, self.last_step);
    visit(Key{"message", "why it failed"}, self.message);
  }
};

}  // namespace attnlab
