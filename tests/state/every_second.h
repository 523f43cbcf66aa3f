// A policy for tests: behind a prompt and behind each step, every second token stays, counted from the start of
// its row; with `by_head`, odd heads keep the odd ones.
#pragma once

#include "state/policy.h"

namespace attnlab::test {

class EverySecond final : public CachePolicy {
 public:
  explicit EverySecond(bool by_head) : by_head_(by_head) {}

  ChoiceOf choice_of() const override { return by_head_ ? ChoiceOf::kv_head : ChoiceOf::token; }
  KeptTokens choose(const HeldTokens& held, torch::Tensor&) const override {
    if (held.sequence.goes_on()) return {};
    const auto heads_h1 = torch::arange(held.places_BhS.size(1)).unsqueeze(1);
    auto positions = held.places_BhS;
    if (held.sequence.padding_B1().defined()) positions = positions - held.sequence.padding_B1().unsqueeze(1);
    return {.stays_BhS = (positions + heads_h1).remainder(2) == 0};
  }
  int64_t held_at(int64_t context) const override { return (context + 1) / 2; }

 private:
  bool by_head_;
};

inline CachePlan every_second(bool by_head) {
  return {.policy = std::make_shared<EverySecond>(by_head), .storage = dense_storage(), .as_computed = false};
}

}  // namespace attnlab::test
