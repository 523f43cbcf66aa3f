// Batches of a run whose mixture's shares follow the losses of its parts (train.domains).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/domain_stream.h"
#include "experiment/inputs/inputs.h"
#include "model/decoder.h"

namespace attnlab {

class DomainLoader {
 public:
  // config.train.domains is given. Throws InputError (key: train.domains.reference_losses, data.mixture).
  DomainLoader(const RunConfig& config, const Base& base, const Data& data);

  // The batches of the step-th step (from 1) with the shares of now; may be called in another thread, while
  // shares change, too.
  std::function<std::vector<Batch>()> step(int64_t step) const;
  bool is_due(int64_t step) const;
  // Looks at the parts' losses behind a step, and says what follows. Shares change from step + 2 on.
  std::string follow(Decoder& decoder, int64_t step);

  // For the saved state.
  std::string text() const;
  // Throws InputError (file) if this was not written by `text` of such a run.
  void restore(const std::string& text, const std::string& file);

 private:
  DomainsConfig config_;
  Precision precision_;
  int64_t rows_per_step_;
  std::shared_ptr<const DomainStream> stream_;
  std::shared_ptr<const ShareHistory> history_;
  std::vector<std::vector<Batch>> heldout_;  // of each part
};

}  // namespace attnlab
