// Scores replies that were generated before, under any protocol that knows their task.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sandbox/sandbox.h"
#include "tasks/presets.h"

namespace attnlab {

struct Score {
  std::string extracted;  // the answer, kNoAnswer if there is none; of code, what counts as the program
  bool correct = false;
  std::string result;  // "match", "no match" or "no answer"; of code, the sandbox's word: "passed", …
};

// A reply to problems[problem].
struct Reply {
  size_t problem = 0;
  std::string text;
  bool whole =
      false;  // a whole program, which is neither cut nor put behind the prompt (evalplus's "solution")
};

// What a reply's text becomes before anything is run: cut at the stop strings, its answer or program taken out.
// Not for presets that sanitise.
std::string extract(const Preset& preset, std::string_view reply);

// Scores in the order of the replies; a problem may have any number of them. `sandbox` is needed for code, null
// else. `done` hears how many programs were run and may throw to stop.
std::vector<Score> score(const Preset& preset, const std::vector<Problem>& problems,
                         const std::vector<Reply>& replies, Sandbox* sandbox,
                         const std::function<void(int64_t)>& done = {});

// Where protocols disagree: the replies that some call right and some wrong. `by_protocol`: the scores of the
// same replies, once for each protocol.
std::vector<size_t> disagreements(const std::vector<std::vector<Score>>& by_protocol);

}  // namespace attnlab
