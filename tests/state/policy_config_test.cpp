// What the options of a policy come to, and which can't be.
#include "state/policy_config.h"

#include "catch.h"
#include "state/policy.h"

namespace attnlab::test {
namespace {

using enum CachePolicyName;

std::string refusal(const PolicyConfig& config) {
  const auto problem = policy_config_problem(config);
  return problem ? describe(*problem) : "accepted";
}

TEST_CASE("a budget is a number of tokens, or a share of the prompt's that is rounded down") {
  CHECK(CacheBudget{.tokens = 40}.of(10, 3) == 40);
  CHECK(CacheBudget{.share = 0.29}.of(100, 0) == 29);  // 0.29 · 100 < 29 in doubles
  CHECK(CacheBudget{.share = 0.25}.of(99, 0) == 24);
  CHECK(CacheBudget{.share = 0.25}.of(99, 32) == 32);
  CHECK(CacheBudget{.share = 0.01}.of(9, 0) == 1);
}

TEST_CASE("papers and public codes differ in what is not given, and what is given holds") {
  const auto of = [](CachePolicyName policy, PolicySource source) {
    return policy_settings({.policy = policy, .source = source}, 0);
  };
  const auto paper = of(snapkv, PolicySource::paper), kvpress = of(snapkv, PolicySource::kvpress);
  CHECK((paper.window == 32 && paper.kernel == 7 && paper.pooling == ScorePooling::max));
  CHECK((kvpress.window == 64 && kvpress.kernel == 5 && kvpress.pooling == ScorePooling::average));
  CHECK((!paper.every_step && !paper.by_query_head && of(snapkv, PolicySource::official).by_query_head));
  CHECK(of(streaming, PolicySource::paper).positions == CachePositions::reindexed);
  CHECK(of(streaming, PolicySource::kvpress).positions == CachePositions::original);
  CHECK((of(tova, PolicySource::kvpress).recent == 1 && !of(tova, PolicySource::kvpress).every_step));
  CHECK((of(h2o, PolicySource::kvpress).mean_per_query && of(h2o, PolicySource::paper).recent == -1));
  CHECK((of(a2sf, PolicySource::official).recent == 16 && of(a2sf, PolicySource::paper).recent == 0));
  const auto given = policy_settings({.policy = streaming, .layer_shares = {0.1, 0.7}, .sinks = 2}, 1);
  CHECK((given.budget.share == 0.7 && given.budget.tokens == 0 && given.sinks == 2));
  // A key that the policy does not heed changes nothing.
  CHECK(policy_settings({.policy = tova, .sinks = 1, .alpha = 0.5}, 0).alpha == 1);
  CHECK(policy_settings({.policy = snapkv, .every_step = true}, 0).every_step == false);
}

TEST_CASE("options that contradict each other are refused by name") {
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.policy = snapkv, .budget = 32}) == "accepted");
  CHECK_THAT(refusal({.policy = snapkv, .budget = 31}),
             ContainsSubstring("budget: found 31, expected at least 32: 0 sinks and 32 newest tokens"));
  CHECK_THAT(refusal({.policy = streaming, .budget = 5, .sinks = 6}), ContainsSubstring("at least 6: 6 sinks"));
  CHECK_THAT(refusal({.policy = h2o, .budget = 5, .recent = 6}), ContainsSubstring("6 newest"));
  CHECK_THAT(refusal({.policy = h2o, .share = 0.2, .layer_budgets = {3}}), ContainsSubstring("one of them"));
  CHECK_THAT(refusal({.policy = snapkv, .kernel = 2}), ContainsSubstring("kernel: found 2"));
  CHECK_THAT(refusal({.policy = a2sf, .source = PolicySource::kvpress}),
             ContainsSubstring("expected one of paper, official for policy a2sf"));
}

TEST_CASE("LazyLLM prunes behind each 30 % of the layers, or behind each as it is told") {
  std::vector<double> llama(32);
  llama[8] = llama[18] = llama[27] = 0.3;  // behind layers 9, 19 and 28 of 32: figure 7
  CHECK(prune_shares(prune_schedule({.policy = lazyllm}), 32) == llama);
  CHECK(prune_shares({.share = 0.5}, 2) == std::vector<double>{0.5, 0});
  CHECK(prune_shares({.of_layers = {0.2, 0}}, 2) == std::vector<double>{0.2, 0});
  CHECK(pruned_tokens(96, 0.3) == 29);
  CHECK(pruned_tokens(11, 0.3) == 3);
  CHECK(pruned_tokens(31, 0.1) == 3);
  CHECK(pruned_tokens(1, 0.9) == 0);
  CHECK(pruned_tokens(5, 1) == 4);
  CHECK(tokens_of_layers({.of_layers = {0, 0.3, 0.3, 0}}, 4, 96) == std::vector<int64_t>{96, 96, 67, 47});
  CHECK_THAT(refusal({.policy = lazyllm, .prune_share = 0.2, .prune = {0.1}}),
             ContainsSubstring("one of them"));
  CHECK(why_idle(PolicyConfig{.policy = lazyllm}, "budget") == "policy lazyllm does not heed it");
}

TEST_CASE("a key that the policy does not heed says why") {
  CHECK(why_idle(PolicyConfig{.policy = tova}, "alpha") == "policy tova does not heed it");
  CHECK(why_idle(PolicyConfig{.policy = a2sf}, "alpha").empty());
  CHECK(why_idle(PolicyConfig{.policy = tova}, "layer_shares").empty());
  CHECK(why_idle(PolicyConfig{}, "budget") == "policy all keeps every token");
}

TEST_CASE("policies differ by layer where budgets do") {
  const auto plan = make_cache_plan({.policy = {.policy = streaming, .layer_budgets = {9, 14}}});
  CHECK(plan.policy_of(0)->held_at(100) == 9);
  CHECK(plan.policy_of(1)->held_at(100) == 14);
  CHECK_FALSE(plan.as_computed);
}

}  // namespace
}  // namespace attnlab::test
