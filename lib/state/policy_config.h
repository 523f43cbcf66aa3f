// Which tokens stay in a cache, as options, and what they come to. Without torch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

enum class CachePolicyName { all, window, streaming, h2o, tova, snapkv, a2sf, lazyllm };
template <>
struct EnumNames<CachePolicyName> {
  using enum CachePolicyName;
  static constexpr std::array<std::pair<std::string_view, CachePolicyName>, 8> rows{{{"all", all},
                                                                                     {"window", window},
                                                                                     {"streaming", streaming},
                                                                                     {"h2o", h2o},
                                                                                     {"tova", tova},
                                                                                     {"snapkv", snapkv},
                                                                                     {"a2sf", a2sf},
                                                                                     {"lazyllm", lazyllm}}};
};

// Whose choices, where public code differs from the paper: the authors' own, or NVIDIA's kvpress.
enum class PolicySource { paper, official, kvpress };
template <>
struct EnumNames<PolicySource> {
  using enum PolicySource;
  static constexpr std::array<std::pair<std::string_view, PolicySource>, 3> rows{
      {{"paper", paper}, {"official", official}, {"kvpress", kvpress}}};
};

// A token's rotary position: its own, or its place among the tokens that are held.
enum class CachePositions { original, reindexed };
template <>
struct EnumNames<CachePositions> {
  using enum CachePositions;
  static constexpr std::array<std::pair<std::string_view, CachePositions>, 2> rows{
      {{"original", original}, {"reindexed", reindexed}}};
};

enum class ScorePooling { average, max };
template <>
struct EnumNames<ScorePooling> {
  using enum ScorePooling;
  static constexpr std::array<std::pair<std::string_view, ScorePooling>, 2> rows{
      {{"average", average}, {"max", max}}};
};

// Where what a policy does behind a prompt is done.
enum class ActsBehind { prompt, context };
template <>
struct EnumNames<ActsBehind> {
  using enum ActsBehind;
  static constexpr std::array<std::pair<std::string_view, ActsBehind>, 2> rows{
      {{"prompt", prompt}, {"context", context}}};
};

// What is not given follows from policy and source (policy_settings).
struct PolicyConfig {
  CachePolicyName policy = CachePolicyName::all;
  PolicySource source = PolicySource::paper;
  ActsBehind behind = ActsBehind::prompt;
  std::optional<int64_t> budget;
  std::optional<double> share;
  std::vector<int64_t> layer_budgets;
  std::vector<double> layer_shares;
  std::optional<int64_t> sinks, recent, window, kernel;
  std::optional<ScorePooling> pooling;
  std::optional<double> alpha;
  std::optional<CachePositions> positions;
  std::optional<bool> every_step;
  std::optional<double> prune_share;
  std::vector<double> prune;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit);
};

template <class Self, class Visitor>
void PolicyConfig::fields(Self& self, Visitor&& visit) {
  visit(Key{"policy",
            "which tokens stay in the cache. window: the newest; streaming: sinks and the newest "
            "(StreamingLLM); chosen by attention: h2o, a2sf (all queries so far), tova (the last query), "
            "snapkv (the prompt's last queries). lazyllm: all, but tokens leave layers, and come back"},
        self.policy);
  visit(Key{"source", "whose choices where public code differs from the paper: official is the authors' code"},
        self.source);
  visit(Key{"behind",
            "when tokens leave first: behind the whole prompt, or behind its context, before the question is "
            "read "
            "(data kinds passkey, key_values, variable_trace)"},
        self.behind);
  visit(Key{"budget", "tokens that stay; without it the policy's own number or share"}.at_least(1),
        self.budget);
  visit(Key{"share", "instead of budget: share of the prompt's tokens, at least the sinks and the window"}
            .above(0)
            .at_most(1),
        self.share);
  visit(Key{"layer_budgets", "instead of budget: one for each layer"}.at_least(1), self.layer_budgets);
  visit(Key{"layer_shares", "instead of share: one for each layer"}.above(0).at_most(1), self.layer_shares);
  visit(Key{"sinks", "first tokens that always stay, of the budget; without it 4 (streaming) or none"}.at_least(
            0),
        self.sinks);
  visit(Key{"recent",
            "h2o, a2sf, tova: newest tokens that always stay, of the budget; without it half of it (h2o) or "
            "none"}
            .at_least(0),
        self.recent);
  visit(Key{"window", "snapkv: last queries of the prompt that choose, and stay; without it 32"}.at_least(1),
        self.window);
  visit(Key{"kernel", "snapkv: tokens over which scores are pooled, an odd number; without it 7"}.at_least(1),
        self.kernel);
  visit(Key{"pooling", "snapkv: how; without it max"}, self.pooling);
  visit(
      Key{"alpha", "a2sf: what scores are multiplied by at each query; without it 0.2"}.at_least(0).at_most(1),
      self.alpha);
  visit(Key{"positions",
            "what keys and queries turn by: their place in the text, or among the tokens that are held; "
            "without it reindexed for streaming, original for the others"},
        self.positions);
  visit(Key{"every_step",
            "tokens leave behind every step, or behind the prompt alone; without it every step but for snapkv "
            "and kvpress' forms"},
        self.every_step);
  visit(Key{"prune_share",
            "lazyllm: share of a layer's tokens that leave behind each 30 % of the layers; without it 0.3"}
            .at_least(0)
            .at_most(1),
        self.prune_share);
  visit(Key{"prune", "lazyllm: instead, the share that leaves behind each layer"}.at_least(0).at_most(1),
        self.prune);
}

// Tokens that stay: a number, or a share of the prompt.
struct CacheBudget {
  int64_t tokens = 0;  // 0: by share
  double share = 0;
  // Of a prompt of so many tokens, at least `least`: ⌊share · tokens⌋.
  int64_t of(int64_t prompt_tokens, int64_t least) const;
};

// All options of a policy that drops tokens, at the values that hold.
struct PolicySettings {
  CacheBudget budget;  // of the layer that was asked for
  int64_t sinks = 0;
  int64_t recent = 0;  // newest tokens that always stay; -1: half the budget
  int64_t window = 0, kernel = 1;
  ScorePooling pooling = ScorePooling::max;
  double alpha = 1;
  CachePositions positions = CachePositions::original;
  bool every_step = true;
  bool by_query_head = false;   // a set for each query head: keys and values are kept N / G times
  bool mean_per_query = false;  // column sums ÷ queries that could see the token
};

// `layer` picks from layer_budgets and layer_shares (then it must be below their number).
PolicySettings policy_settings(const PolicyConfig& config, size_t layer);

// LazyLLM: which share of a layer's tokens leaves behind it.
struct PruneSchedule {
  double share = 0.3;
  std::vector<double> of_layers;  // instead of share
};
PruneSchedule prune_schedule(const PolicyConfig& config);
// Of each of n layers: of_layers, or the share behind ⌊0.3 k n⌋ layers for k = 1, 2, 3 (figure 4 of the paper).
std::vector<double> prune_shares(const PruneSchedule& schedule, int64_t n_layers);
// How many of a layer's tokens leave: ⌈(tokens - 1) share⌉, those below the share's percentile.
int64_t pruned_tokens(int64_t tokens, double share);
// What each layer looks at behind a prompt of so many tokens.
std::vector<int64_t> tokens_of_layers(const PruneSchedule& schedule, int64_t n_layers, int64_t tokens);

// What can't be, if anything, of the options alone: a budget below sinks + window, two kinds of budget, an even
// kernel, a source without choices of its own. The key has no prefix.
std::optional<BadInput> policy_config_problem(const PolicyConfig& config);

// Why a key has no effect under the config's policy; empty where it has one.
std::string why_idle(const PolicyConfig& config, const std::string& key);

}  // namespace attnlab
