// What one task of an evaluation asks, and how its replies are scored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"
#include "tasks/presets.h"

namespace attnlab {

struct TaskConfig {
  Task task = Task::gsm8k;
  std::string name;                    // in results; empty: the task's
  std::string path;                    // the problems; the project's own tasks are generated without one
  std::string shots_path;              // where worked examples come from
  std::vector<std::string> protocols;  // the first one asks; empty: default_protocols
  std::optional<int64_t> shots;        // nothing: the protocol's own
  int64_t limit = 0;                   // the first problems only; 0: all
  int64_t samples = 1;
  std::vector<int64_t> k{1};
  double temperature = 0, top_p = 1;
  int64_t seed = 0;
  int64_t max_new_tokens = 0;  // 0: the protocol's own
  int64_t difficulty_min = 1, difficulty_max = 3, size = 100, words = 200;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"task", "what is asked"}.must_be_given(), self.task);
    visit(Key{"name", "its name in results; none: the task's. Needed where a task stands twice"}, self.name);
    visit(Key{"path", "file with the problems; generated tasks need none"}, self.path);
    visit(Key{"shots_path", "file with the worked examples before a problem (GSM8K's training set)"},
          self.shots_path);
    visit(Key{"protocols", "how replies are scored; the first one asks. Empty: the task's own"},
          self.protocols);
    visit(Key{"shots", "worked examples before a problem; without it the protocol's own number"}.at_least(0),
          self.shots);
    visit(Key{"limit", "the first problems only; 0: all"}.at_least(0), self.limit);
    visit(Key{"samples", "replies to each problem (the n of pass@k)"}.at_least(1), self.samples);
    visit(Key{"k", "the k of pass@k, none above samples"}, self.k);
    visit(Key{"temperature", "0: the likeliest token always"}.at_least(0), self.temperature);
    visit(Key{"top_p", "sample from the fewest tokens with this share"}.above(0).at_most(1), self.top_p);
    visit(Key{"seed",
              "of sampling, of worked examples' choice where it is not the protocol's, of generated tasks"}
              .at_least(0),
          self.seed);
    visit(Key{"max_new_tokens", "longest reply, in tokens; 0: the protocol's own"}.at_least(0),
          self.max_new_tokens);
    visit(Key{"difficulty_min", "generated tasks: easiest problems"}.at_least(1).at_most(5),
          self.difficulty_min);
    visit(Key{"difficulty_max", "generated tasks: hardest problems"}.at_least(1).at_most(5),
          self.difficulty_max);
    visit(Key{"size", "generated tasks: number of problems"}.at_least(1), self.size);
    visit(
        Key{"words", "passkey, key_values, variable_trace: words of a context, about"}.at_least(8).at_most(1e6),
        self.words);
  }

  std::string label() const { return name.empty() ? std::string(name_of(task)) : name; }
};

// Why a key has no effect beside the others; empty where it has one.
std::string why_idle(const TaskConfig& config, const std::string& key);

// Protocols that a task is scored under if none are named: the public harness's own.
std::vector<Protocol> default_protocols(Task task);

// Checks what a single key's range does not say. Throws InputError with `key` before the key's name
// ("eval.tasks.0").
void require_valid(const TaskConfig& config, const std::string& key);

}  // namespace attnlab
