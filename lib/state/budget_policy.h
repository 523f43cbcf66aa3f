// What policies with a budget of tokens share: which of the held tokens have the best scores.
#pragma once

#include <span>

#include "state/policy.h"
#include "state/policy_config.h"

namespace attnlab {

class BudgetPolicy : public CachePolicy {
 public:
  explicit BudgetPolicy(const PolicySettings& settings) : settings_(settings) {}

  bool reindexes() const override { return settings_.positions == CachePositions::reindexed; }
  // Observes the pass; where tokens are to leave, of each head the sinks and the newest stay, and of the others
  // the best as far as the budget goes. Of equal scores the earlier token stays.
  KeptTokens choose(const HeldTokens& held, torch::Tensor& scores_BhS) const final;
  int64_t held_at(int64_t context) const override;

 protected:
  // Adds what the pass's queries tell to the scores. Hears of every pass.
  virtual void observe(const HeldTokens& /*held*/, torch::Tensor& /*scores_BhS*/) const {}
  // By what tokens are ranked where some are to leave, [B, h, S]; undefined: by age, the newest first. What
  // `scores_BhS` holds then goes with the tokens that stay.
  virtual torch::Tensor ranked_by(const HeldTokens& held, torch::Tensor& scores_BhS) const = 0;

  const PolicySettings& settings() const { return settings_; }

 private:
  int64_t budget_of(int64_t prompt_tokens) const;
  int64_t newest_of(int64_t budget) const;
  // bool [B, h, S]: tokens that stay whatever their scores.
  torch::Tensor stays_always(const HeldTokens& held, std::span<const int64_t> budgets) const;

  PolicySettings settings_;
};

// Σ over the pass's queries, from the (T - n)-th on, of weight[t] · Σ over the heads of each of h groups of
// their attention: [B, h, S] in float32. `query_weights`: n numbers, of the last n queries; a single one is 1.
// Queries go in blocks, so that no T × S matrix is held.
torch::Tensor column_sums(const Looked& looked, int64_t h, const torch::Tensor& query_weights);

}  // namespace attnlab
