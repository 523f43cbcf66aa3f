#include "state/policy_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace attnlab {
namespace {

using enum CachePolicyName;

// The settings of a policy where nothing but its name and source is given; nothing: the source has no choices
// of its own. Papers' settings; kvpress 0.5.5; FasterDecoding/SnapKV's class; Dirac-Notation/A2SF of 2025.
std::optional<PolicySettings> defaults_of(CachePolicyName policy, PolicySource source) {
  const bool paper = source == PolicySource::paper, kvpress = source == PolicySource::kvpress;
  const bool official = source == PolicySource::official;
  const auto if_known = [](bool known, const PolicySettings& settings) {
    return known ? std::optional(settings) : std::nullopt;
  };
  switch (policy) {
    case all:
      return if_known(paper, {});
    case window:
      return if_known(paper, {.budget = {.tokens = 1024}});
    case streaming:
      return if_known(!official, {.budget = {.tokens = 1024},
                                  .sinks = 4,
                                  .positions = kvpress ? CachePositions::original : CachePositions::reindexed,
                                  .every_step = paper});
    case h2o:
      return if_known(
          !official,
          {.budget = {.share = 0.2}, .recent = paper ? -1 : 0, .every_step = paper, .mean_per_query = kvpress});
    case tova:
      return if_known(!official, {.budget = {.tokens = 512}, .recent = kvpress ? 1 : 0, .every_step = paper});
    case snapkv:
      return PolicySettings{.budget = {.tokens = official ? 320 : 1024},
                            .window = paper ? 32 : 64,
                            .kernel = paper ? 7 : 5,
                            .pooling = paper ? ScorePooling::max : ScorePooling::average,
                            .every_step = false,
                            .by_query_head = official};
    case lazyllm:
      return if_known(paper, {});
    case a2sf:
      return if_known(!kvpress, {.budget = {.share = 0.2},
                                 .recent = official ? 16 : 0,
                                 .alpha = official ? 0.95 : 0.2,
                                 .every_step = paper});
  }
  return std::nullopt;
}

std::vector<std::string> sources_of(CachePolicyName policy) {
  std::vector<std::string> names;
  for (const auto& [name, source] : EnumNames<PolicySource>::rows)
    if (defaults_of(policy, source)) names.emplace_back(name);
  return names;
}

// The optional keys that a policy heeds, beside the budget.
std::vector<std::string_view> heeded(CachePolicyName policy) {
  switch (policy) {
    case all:
      return {};
    case window:
      return {"positions", "every_step"};
    case streaming:
      return {"sinks", "positions", "every_step"};
    case h2o:
    case tova:
      return {"sinks", "recent", "positions", "every_step"};
    case a2sf:
      return {"sinks", "recent", "alpha", "positions", "every_step"};
    case lazyllm:
      return {"prune_share", "prune"};
    case snapkv:
      return {"sinks", "window", "kernel", "pooling", "positions"};
  }
  return {};
}

bool heeds(CachePolicyName policy, std::string_view key) {
  const auto keys = heeded(policy);
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

BadInput bad(const char* key, std::string found, std::string expected) {
  return {.key = key, .found = std::move(found), .expected = std::move(expected)};
}

std::optional<BadInput> budget_kind_problem(const PolicyConfig& config) {
  const int kinds = config.budget.has_value() + config.share.has_value() + !config.layer_budgets.empty() +
                    !config.layer_shares.empty();
  if (kinds <= 1) return std::nullopt;
  return bad("budget", "more than one of budget, share, layer_budgets and layer_shares", "one of them");
}

// Of one layer.
std::optional<BadInput> room_problem(const PolicySettings& settings) {
  const int64_t kept = settings.sinks + settings.window + std::max<int64_t>(settings.recent, 0);
  const int64_t tokens = settings.budget.tokens;
  if (tokens == 0 || tokens >= std::max<int64_t>(kept, 1)) return std::nullopt;
  return bad("budget", fmt::format("{}", tokens),
             fmt::format("at least {}: {} sinks and {} newest tokens always stay", kept, settings.sinks,
                         kept - settings.sinks));
}

}  // namespace

int64_t CacheBudget::of(int64_t prompt_tokens, int64_t least) const {
  if (tokens > 0) return tokens;
  // A share that stands for a whole number of tokens must give it, whatever its rounding.
  constexpr double rounding = 1e-9;
  const auto by_share = static_cast<int64_t>(share * static_cast<double>(prompt_tokens) + rounding);
  return std::max({by_share, least, int64_t{1}});
}

PolicySettings policy_settings(const PolicyConfig& config, size_t layer) {
  auto settings = defaults_of(config.policy, config.source).value_or(PolicySettings{});
  if (config.budget) settings.budget = {.tokens = *config.budget};
  if (config.share) settings.budget = {.share = *config.share};
  if (!config.layer_budgets.empty()) settings.budget = {.tokens = config.layer_budgets.at(layer)};
  if (!config.layer_shares.empty()) settings.budget = {.share = config.layer_shares.at(layer)};
  const auto replace = [&](std::string_view key, auto& value, const auto& given) {
    if (given && heeds(config.policy, key)) value = *given;
  };
  replace("sinks", settings.sinks, config.sinks);
  replace("recent", settings.recent, config.recent);
  replace("window", settings.window, config.window);
  replace("kernel", settings.kernel, config.kernel);
  replace("pooling", settings.pooling, config.pooling);
  replace("alpha", settings.alpha, config.alpha);
  replace("positions", settings.positions, config.positions);
  replace("every_step", settings.every_step, config.every_step);
  return settings;
}

PruneSchedule prune_schedule(const PolicyConfig& config) {
  return {.share = config.prune_share.value_or(PruneSchedule{}.share), .of_layers = config.prune};
}

std::vector<double> prune_shares(const PruneSchedule& schedule, int64_t n_layers) {
  if (!schedule.of_layers.empty()) return schedule.of_layers;
  std::vector<double> shares(static_cast<size_t>(n_layers));
  for (int64_t stage = 1; stage <= 3; ++stage)
    if (const int64_t layers = 3 * stage * n_layers / 10; layers > 0)
      shares[static_cast<size_t>(layers - 1)] = schedule.share;
  return shares;
}

int64_t pruned_tokens(int64_t tokens, double share) {
  constexpr double rounding = 1e-9;  // of a product that stands for a whole number
  return static_cast<int64_t>(std::ceil(static_cast<double>(tokens - 1) * share - rounding));
}

std::vector<int64_t> tokens_of_layers(const PruneSchedule& schedule, int64_t n_layers, int64_t tokens) {
  std::vector<int64_t> of_layers;
  for (const double share : prune_shares(schedule, n_layers)) {
    of_layers.push_back(tokens);
    tokens -= pruned_tokens(tokens, share);
  }
  return of_layers;
}

std::optional<BadInput> policy_config_problem(const PolicyConfig& config) {
  if (config.policy == all) return std::nullopt;
  if (!defaults_of(config.policy, config.source))
    return bad("source", std::string(name_of(config.source)),
               fmt::format("{} for policy {}", one_of(sources_of(config.policy)), name_of(config.policy)));
  if (config.prune_share && !config.prune.empty())
    return bad("prune", "both prune and prune_share", "one of them");
  if (auto kinds = budget_kind_problem(config)) return kinds;
  if (config.kernel.value_or(1) % 2 == 0)
    return bad("kernel", fmt::format("{}", *config.kernel), "an odd number: it has a middle");
  const size_t layers = std::max({config.layer_budgets.size(), config.layer_shares.size(), size_t{1}});
  for (size_t layer = 0; layer < layers; ++layer)
    if (auto room = room_problem(policy_settings(config, layer))) return room;
  return std::nullopt;
}

std::string why_idle(const PolicyConfig& config, const std::string& key) {
  if (key == "policy") return "";
  if (config.policy == all) return "policy all keeps every token";
  const bool of_budget = key == "budget" || key == "share" || key.starts_with("layer_");
  if (key == "source" || key == "behind" || (of_budget && config.policy != lazyllm) ||
      heeds(config.policy, key))
    return "";
  return fmt::format("policy {} does not heed it", name_of(config.policy));
}

}  // namespace attnlab
