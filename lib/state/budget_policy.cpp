#include "state/budget_policy.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace attnlab {
namespace {

// Numbers of attention that exist at a time.
constexpr int64_t kWeightsAtATime = int64_t{1} << 22;

// int64 [B, 1, 1], or [1, 1, 1] where all rows have the same: then nothing is copied from the host.
torch::Tensor by_row(const std::vector<int64_t>& values, torch::Device device) {
  const auto options = torch::dtype(torch::kInt64).device(device);
  if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end())
    return torch::full({1, 1, 1}, values.front(), options);
  return torch::tensor(values, torch::kInt64).to(device).view({-1, 1, 1});
}

// A token's place among its head's, best first: int64 [B, h, S]. Of equal ones the earlier token comes first.
torch::Tensor ranks(const torch::Tensor& scores_BhS) {
  const auto order = torch::argsort(scores_BhS, /*stable=*/true, /*dim=*/2, /*descending=*/true);
  const auto places = torch::arange(scores_BhS.size(2), order.options()).expand_as(order);
  return torch::empty_like(order).scatter_(2, order, places);
}

// Over the queries: [B, N, t, S] and [t] → [B, N, S].
torch::Tensor weighted_sum(const torch::Tensor& A_BNtS, const torch::Tensor& weights_t) {
  return (A_BNtS * weights_t.to(A_BNtS.options()).unsqueeze(1)).sum(2);
}

}  // namespace

int64_t BudgetPolicy::newest_of(int64_t budget) const {
  return settings_.recent < 0 ? budget / 2 : settings_.recent + settings_.window;
}

int64_t BudgetPolicy::budget_of(int64_t prompt_tokens) const {
  return settings_.budget.of(prompt_tokens,
                             settings_.sinks + settings_.window + std::max<int64_t>(settings_.recent, 0));
}

int64_t BudgetPolicy::held_at(int64_t context) const { return std::min(context, budget_of(context)); }

torch::Tensor BudgetPolicy::stays_always(const HeldTokens& held, std::span<const int64_t> budgets) const {
  std::vector<int64_t> oldest;  // column of the oldest of the newest
  for (const int64_t budget : budgets) oldest.push_back(held.sequence.S() - newest_of(budget));
  const auto device = held.places_BhS.device();
  auto stays = held.places_BhS >= by_row(oldest, device);
  if (settings_.sinks == 0) return stays;
  auto positions = held.places_BhS;
  if (held.sequence.padding_B1().defined()) positions = positions - held.sequence.padding_B1().unsqueeze(1);
  return stays.logical_or(positions < settings_.sinks);
}

KeptTokens BudgetPolicy::choose(const HeldTokens& held, torch::Tensor& scores_BhS) const {
  if (!settings_.every_step && !held.in_prompt) return {};
  observe(held, scores_BhS);
  if (held.sequence.goes_on()) return {};
  std::vector<int64_t> budgets;
  for (const int64_t tokens : held.prompt_tokens) budgets.push_back(budget_of(tokens));
  const auto by_score = ranked_by(held, scores_BhS);
  if (!settings_.every_step) scores_BhS = torch::Tensor();  // nothing is chosen any more
  if (*std::min_element(budgets.begin(), budgets.end()) >= held.places_BhS.size(2)) return {};
  constexpr float first = std::numeric_limits<float>::infinity();
  const auto candidates = (by_score.defined() ? by_score : held.places_BhS)
                              .to(torch::kFloat32)
                              .masked_fill(stays_always(held, budgets), first)
                              .masked_fill(held.valid_BhS.logical_not(), -first);
  return {.stays_BhS = ranks(candidates) < by_row(budgets, candidates.device()),
          .most = *std::max_element(budgets.begin(), budgets.end()),
          .ranked_BhS = by_score};
}

torch::Tensor column_sums(const Looked& looked, int64_t h, const torch::Tensor& query_weights) {
  const int64_t n = query_weights.size(0), begin = looked.T - n;
  const int64_t block = std::max<int64_t>(1, kWeightsAtATime / (looked.B * looked.N * looked.S));
  torch::Tensor sums_BNS;
  for (int64_t t = 0; t < n; t += block) {
    const int64_t rows = std::min(block, n - t);
    const auto A_BNtS = looked.weights(begin + t, rows);
    const auto sums = n == 1 ? A_BNtS.squeeze(2) : weighted_sum(A_BNtS, query_weights.narrow(0, t, rows));
    sums_BNS = sums_BNS.defined() ? sums_BNS + sums : sums;
  }
  return sums_BNS.unflatten(1, {h, looked.N / h}).sum(2).to(torch::kFloat32);
}

}  // namespace attnlab
