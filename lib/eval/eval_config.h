// How an arm is evaluated.
#pragma once

#include <cstdint>
#include <vector>

#include "core/fields.h"
#include "eval/task_config.h"
#include "state/cache_config.h"

namespace attnlab {

struct EvalConfig {
  int64_t every = 0;
  bool before = true;
  int64_t heldout_examples = 200, problems = 100;
  int64_t max_new_tokens = 256, batch_size = 32;
  bool batch_invariant = false, likelihoods = false;
  CacheConfig cache;
  std::vector<TaskConfig> tasks;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"every", "steps between two evaluations; 0: none in between"}.at_least(0), self.every);
    visit(Key{"before", "evaluate before the first step, too"}, self.before);
    visit(Key{"heldout_examples", "held-out examples for the loss; 0: not measured"}.at_least(0),
          self.heldout_examples);
    visit(Key{"problems",
              "held-out problems that are answered and scored by exact match; 0: not measured. Examples "
              "without a final answer #### N are passed over"}
              .at_least(0),
          self.problems);
    visit(Key{"max_new_tokens", "longest answer, in tokens"}.at_least(1), self.max_new_tokens);
    visit(Key{"batch_size", "sequences evaluated at a time"}.at_least(1), self.batch_size);
    visit(Key{"batch_invariant",
              "answer one problem at a time, token by token, so that a reply depends on nothing else, bit for "
              "bit: "
              "not on its batch, nor on the pieces that a prompt is read in. Slower"},
          self.batch_invariant);
    visit(
        Key{"likelihoods",
            "measure the mean log-likelihood of the problems' reference answers, and of the model's own right "
            "ones, too"},
        self.likelihoods);
    visit(Key{"cache", "how caches are kept while answering"}, self.cache);
    visit(Key{"tasks", "public and generated tasks, asked at the end (and before, if that is set)"},
          self.tasks);
  }
};

}  // namespace attnlab
