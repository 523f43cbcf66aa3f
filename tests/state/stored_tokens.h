// States that are given tokens, and what they then show.
#pragma once

#include "catch.h"
#include "state/layer_state.h"
#include "storages.h"

namespace attnlab::test {

inline const StateLayout kCodedKeysAndValues{
    {.name = "k", .width = 16, .heads = 2, .rotated = 8, .of_kv_heads = true, .serves = Serves::keys},
    {.name = "v", .width = 16, .heads = 2, .of_kv_heads = true, .serves = Serves::values}};
inline const StateLayout kLatent{
    {.name = "c", .width = 14, .rotated_from = 8, .rotated = 6, .rotary_apart = true}};

inline CachePlan stored(const StorageConfig& config, const StateLayout& layout,
                        std::shared_ptr<const CachePolicy> policy = keep_all()) {
  return {.policy = std::move(policy), .storage = storage_of(config, {layout}), .as_computed = false};
}

// SlotTokens of a batch, for each slot of a layout.
struct SlotTokens {
  StateLayout layout;
  std::vector<torch::Tensor> slots_BTW;

  static SlotTokens random(const StateLayout& layout, int64_t B, int64_t T, int64_t seed) {
    torch::manual_seed(static_cast<uint64_t>(seed));
    SlotTokens out{layout, {}};
    for (const auto& slot : layout) out.slots_BTW.push_back(torch::randn({B, T, slot.width}));
    return out;
  }
  SlotTokens rows(int64_t row, int64_t from) const {
    SlotTokens out{layout, {}};
    for (const auto& x : slots_BTW)
      out.slots_BTW.push_back(x.narrow(0, row, 1).narrow(1, from, x.size(1) - from));
    return out;
  }
};

struct StoredPass {
  int64_t begin = 0, T = 0;
  bool goes_on = false;
  torch::Tensor padding_B1 = {};
};

inline std::vector<torch::Tensor> remember(LayerState& state, const SlotTokens& tokens,
                                           const StoredPass& pass) {
  const Sequence sequence(
      {.begin = pass.begin, .T = pass.T, .padding_B1 = pass.padding_B1, .to_come = pass.goes_on ? 1 : 0});
  std::vector<torch::Tensor> seen;
  for (size_t i = 0; i < tokens.layout.size(); ++i)
    seen.push_back(state.remember(i, tokens.slots_BTW[i].narrow(1, pass.begin, pass.T)).clone());
  state.settle(sequence);
  return seen;
}

// A prompt of so many tokens, then single ones; what the last pass saw.
inline std::vector<torch::Tensor> prompt_and_steps(LayerState& state, const SlotTokens& tokens, int64_t prompt,
                                                   int64_t steps, const torch::Tensor& padding_B1 = {}) {
  auto seen = remember(state, tokens, {0, prompt, false, padding_B1});
  for (int64_t t = prompt; t < prompt + steps; ++t) seen = remember(state, tokens, {t, 1, false, padding_B1});
  return seen;
}

inline bool same(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!torch::equal(a[i], b[i])) return false;
  return a.size() == b.size();
}

// Each storage with keys and values, and with a latent.
template <class Check>
void for_each_storage(Check&& check) {
  for (const auto& config : all_storages())
    for (const auto& layout : {kCodedKeysAndValues, kLatent}) {
      INFO(label(config) << ", " << layout[0].name);
      check(config, layout);
    }
}

}  // namespace attnlab::test
