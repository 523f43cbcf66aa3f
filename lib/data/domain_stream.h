// Training batches of a mixture whose shares change while training goes on.
#pragma once

#include <memory>
#include <vector>

#include "data/batch.h"

namespace attnlab {

// The shares that a mixture's parts have of the rows from a step on. Rows follow them as close as whole rows
// can (Sainte-Laguë), whatever the part's examples; a part's own rows go on where they stopped.
class ShareHistory {
 public:
  // From step 0 on. Shares are above 0; their sum does not matter.
  ShareHistory(std::vector<double> shares, int64_t rows_per_step);
  // Steps up to `step` - 1 keep theirs. `step` is not before the last change's.
  void change(int64_t step, std::vector<double> shares);
  const std::vector<double>& latest() const { return changes_.back().shares; }
  // The part of each row of a step, and which of the part's own rows that is.
  struct Place {
    int64_t part, row;
  };
  std::vector<Place> places(int64_t step) const;

  // Numbers that say the same, exactly: as a row of step and shares for each change.
  std::vector<std::vector<double>> rows() const;
  static ShareHistory from_rows(const std::vector<std::vector<double>>& rows, int64_t rows_per_step);

 private:
  struct Change {
    int64_t step;
    std::vector<double> shares;
    std::vector<int64_t> taken;  // rows of each part before it
  };
  // Rows of each part before a step, and the places of the step itself.
  std::vector<int64_t> taken_before(int64_t step, std::vector<Place>* places) const;

  int64_t rows_per_step_;
  std::vector<Change> changes_;
};

// The mixture's parts, each as a stream of rows of its own in permutations of its own.
class DomainStream {
 public:
  // Throws InputError as BatchStream does.
  DomainStream(const std::shared_ptr<const Dataset>& mixture, const std::shared_ptr<const Tokenizer>& tokenizer,
               const BatchConfig& config, uint64_t seed);
  // All micro-batches of a step: a pure function of the data, the config, the seed and the history up to there.
  std::vector<Batch> batches(int64_t step, const ShareHistory& history) const;

 private:
  BatchConfig config_;
  std::vector<std::unique_ptr<BatchStream>> parts_;
};

// Those examples of a mixture that are of one part, in their order.
std::shared_ptr<const Dataset> part_of_mixture(const std::shared_ptr<const Dataset>& mixture, int64_t part);

}  // namespace attnlab
