// Shares of a mixture's parts that follow their losses while training goes on (Sheared LLaMA's dynamic batch
// loading, arXiv 2310.06694, algorithm 1; DoReMi, arXiv 2305.10429). Without torch.
#pragma once

#include <string_view>
#include <vector>

#include "core/names.h"

namespace attnlab {

enum class DomainUpdate { constant, doremi, bandit };
template <>
struct EnumNames<DomainUpdate> {
  static constexpr std::array<std::pair<std::string_view, DomainUpdate>, 3> rows{
      {{"constant", DomainUpdate::constant},
       {"doremi", DomainUpdate::doremi},
       {"bandit", DomainUpdate::bandit}}};
};

// With ℓ the parts' losses and ℓ* those to reach, in nats: doremi w ← softmax(ln w + ℓ - ℓ*), bandit
// w ← softmax(w + ℓ - ℓ*), each then (1 - c) w + c / n with c = 1e-4, normalised. A part that is ahead of its
// reference loses weight, as in public code; the paper cuts the difference at 0.
std::vector<double> updated_weights(DomainUpdate update, const std::vector<double>& weights,
                                    const std::vector<double>& losses, const std::vector<double>& references);

}  // namespace attnlab
