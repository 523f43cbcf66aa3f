// How the shares of a mixture's parts follow their losses while an arm trains (Sheared LLaMA's dynamic batch
// loading, arXiv 2310.06694, algorithm 1), without torch.
#pragma once

#include <optional>
#include <vector>

#include "core/errors.h"
#include "core/fields.h"
#include "prune/domain_weights.h"

namespace attnlab {

// Every `every` steps the held-out losses of the parts are measured, and their shares of the rows updated
// (updated_weights) from the second step behind that on: the next one's batches are being made.
struct DomainsConfig {
  DomainUpdate update = DomainUpdate::doremi;
  int64_t every = 0;
  std::vector<double> reference_losses;
  int64_t heldout_examples = 64;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"update",
              "doremi: shares are multiplied by exp(loss - reference); bandit: they are its softmax; constant: "
              "they "
              "stay"},
          self.update);
    visit(Key{"every", "steps between two looks at the losses"}.at_least(1).must_be_given(), self.every);
    visit(Key{"reference_losses", "the loss that each part of data.mixture is to reach, in nats per token"}
              .must_be_given(),
          self.reference_losses);
    visit(Key{"heldout_examples", "held-out examples of each part that are looked at"}.at_least(1),
          self.heldout_examples);
  }
};

}  // namespace attnlab
