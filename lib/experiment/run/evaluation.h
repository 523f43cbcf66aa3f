// The evaluations of one run: held-out loss and answered problems.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "experiment/inputs/inputs.h"
#include "model/decoder.h"
#include "ranks/world.h"
#include "results/rows.h"

namespace attnlab {

class Evaluator {
 public:
  Evaluator(const RunConfig& config, std::shared_ptr<const Base> base, const Data& data);

  struct Result {
    EvaluationRow row;
    std::vector<ProblemRow> problems;
    std::optional<LikelihoodRow> likelihoods;  // eval.likelihoods
  };
  // `done` hears how many problems are answered and may throw to stop. Ranks of `world` share the work and get
  // the same.
  Result evaluate(Decoder& decoder, int64_t step, const std::function<void(int64_t)>& done,
                  World& world = World::alone()) const;

  int64_t problem_count() const { return static_cast<int64_t>(problems_.size()); }
  // Longest texts, for the columns of the run file.
  int64_t prompt_bytes() const;
  int64_t gold_bytes() const;
  int64_t output_bytes() const;

 private:
  EvalConfig config_;
  Precision precision_;
  std::shared_ptr<const Base> base_;
  std::vector<Batch> heldout_;
  std::vector<Example> problems_;
  std::vector<int64_t> indices_;  // of the problems in the held-out examples
};

}  // namespace attnlab
