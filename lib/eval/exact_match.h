// Accuracy on problems with one final answer ("#### N"): greedy generation, the answer cut out, compared.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "model/decoder.h"
#include "model/precision.h"
#include "ranks/world.h"
#include "text/tokenizer.h"

namespace attnlab {

struct ExactMatchOptions {
  int64_t max_new_tokens = 256, batch_size = 32;
  std::optional<int64_t> bos_id;  // starts every prompt, if given
  int64_t eos_id = 0;             // ends an answer; stands for a prompt that is empty
  std::vector<int64_t> stop_ids;  // end an answer, too
  CachePlan cache;                // how states are kept
  Precision precision = Precision::float32;
  bool batch_invariant = false;  // GenerateOptions::batch_invariant
};

struct Answered {
  std::string output, extracted;  // what was generated, without eos; the number behind "#### ", or nothing
  bool correct = false;
};

// Answers each problem, in order. `done` hears how many are finished, each time another one is, and may throw
// to stop. Ranks of `world` share the problems, and all get all answers.
std::vector<Answered> answer_problems(Decoder& decoder, const Tokenizer& tokenizer,
                                      const std::vector<Example>& problems, const ExactMatchOptions& options,
                                      const std::function<void(int64_t)>& done = {},
                                      World& world = World::alone());

}  // namespace attnlab
