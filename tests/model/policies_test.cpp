// Policies that drop tokens, through a whole decoder: in any batch as alone, in every variant; and what some of
// them must have in common.
#include <set>

#include "catch.h"
#include "generate_ways.h"
#include "model/lazy_batch.h"
#include "model/padded_batch.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using enum CachePolicyName;
using test::alone;
using test::lively_weights;
using test::make_decoder;
using test::ragged_prompts;
using test::small_config;
using test::variant_of;
using test::ways_to_generate;
using Prompts = std::vector<std::vector<int64_t>>;

// Choices by score are compared in float64: float32 may round two scores to one.
std::shared_ptr<Decoder> wide_decoder(const ModelForm& form) {
  auto decoder = make_decoder(form, lively_weights(form.config));
  decoder->to(torch::kFloat64);
  return decoder;
}

CachePlan plan_of(const PolicyConfig& policy) { return make_cache_plan({.policy = policy}); }

std::vector<PolicyConfig> short_policies() {
  return {{.policy = window, .budget = 4},
          {.policy = streaming, .budget = 5, .sinks = 2},
          {.policy = streaming, .budget = 5, .sinks = 2, .positions = CachePositions::original},
          {.policy = h2o, .share = 0.7},
          {.policy = a2sf, .budget = 4, .alpha = 0.4, .positions = CachePositions::reindexed},
          {.policy = tova, .budget = 4},
          {.policy = snapkv, .share = 0.6, .window = 3, .kernel = 3}};
}

bool refused(const Decoder& decoder, const CachePlan& plan) {
  return cache_problem(decoder.form(), plan).has_value();
}

Prompts one_prompt(int64_t T) {
  Prompts prompts(1);
  for (int64_t t = 0; t < T; ++t) prompts[0].push_back((11 * t + t * t) % 37);
  return prompts;
}

// Logits behind a prompt of 20 tokens and 8 steps.
torch::Tensor logits_of(Decoder& decoder, const CachePlan& plan, std::vector<torch::Tensor>* places = nullptr) {
  const torch::NoGradGuard no_grad;
  PaddedBatch batch(decoder, one_prompt(20), 9, 512, plan);
  std::vector<torch::Tensor> logits{batch.prefill()};
  for (int64_t i = 0; i < 8; ++i) {
    logits.push_back(batch.step(torch::tensor({(5 * i + 3) % 37}, torch::kInt64)));
    if (places)
      for (const auto& state : batch.states()) places->push_back(state.places());
  }
  return torch::cat(logits);
}

TEST_CASE("every policy gives each prompt in a batch what it gives the prompt alone, in every variant") {
  const auto prompts = ragged_prompts(8);
  for (const auto& form : test::all_forms(small_config())) {
    const auto decoder = wide_decoder(form);
    for (const auto& policy : short_policies()) {
      INFO(form_name(form) << ", " << name_of(policy.policy));
      const auto plan = plan_of(policy);
      if (refused(*decoder, plan)) continue;
      const auto expected = alone(*decoder, prompts, {.max_new_tokens = 9, .cache = plan});
      for (const auto& way : ways_to_generate(plan)) CHECK(generate(*decoder, prompts, way) == expected);
    }
  }
}

TEST_CASE("a budget that is never full changes no bit") {
  for (const auto& form : test::all_forms(small_config())) {
    const auto decoder = make_decoder(form, lively_weights(form.config));
    const auto expected = logits_of(*decoder, {});
    for (auto policy : short_policies()) {
      INFO(form_name(form) << ", " << name_of(policy.policy));
      policy.share = std::nullopt;
      policy.budget = 28;
      const auto plan = plan_of(policy);
      if (!refused(*decoder, plan)) CHECK(torch::equal(logits_of(*decoder, plan), expected));
      policy.budget = 20;  // and one that is full in the first step changes some
      if (const auto full = plan_of(policy); !refused(*decoder, full) && policy.policy != snapkv)
        CHECK_FALSE(torch::equal(logits_of(*decoder, full), expected));
    }
  }
}

// Places that a policy leaves in each layer behind each step.
std::vector<torch::Tensor> places_under(Decoder& decoder, const PolicyConfig& policy) {
  std::vector<torch::Tensor> places;
  logits_of(decoder, plan_of(policy), &places);
  return places;
}

bool equal(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return torch::equal(x, y); });
}

TEST_CASE("H2O is A2SF that forgets nothing, A2SF that remembers one query is TOVA by KV head") {
  auto config = small_config();
  const auto gqa = wide_decoder(native_form(config));
  const auto h2o_places = places_under(*gqa, {.policy = h2o, .budget = 9, .recent = 3});
  CHECK(equal(h2o_places, places_under(*gqa, {.policy = a2sf, .budget = 9, .recent = 3, .alpha = 1.0})));
  CHECK_FALSE(equal(h2o_places, places_under(*gqa, {.policy = a2sf, .budget = 9, .recent = 3, .alpha = 0.5})));
  config.n_kv_heads = 1;
  for (const auto& form : {native_form(config), ModelForm(config, variant_of("mla_deepseek"))}) {
    const auto decoder = wide_decoder(form);
    const PolicyConfig last{.policy = a2sf, .budget = 9, .alpha = 0.0};
    CHECK(equal(places_under(*decoder, last), places_under(*decoder, {.policy = tova, .budget = 9})));
  }
}

TEST_CASE("a set of tokens for each query head is one for each KV head where there are as many") {
  auto config = small_config();
  config.n_kv_heads = config.n_heads;
  const auto mha = wide_decoder(native_form(config));
  PolicyConfig policy{
      .policy = snapkv, .budget = 9, .window = 4, .kernel = 3, .pooling = ScorePooling::average};
  const auto by_kv_head = places_under(*mha, policy);
  policy.source = PolicySource::official;
  CHECK(equal(by_kv_head, places_under(*mha, policy)));
  const auto gqa = wide_decoder(native_form(small_config()));
  CHECK(places_under(*gqa, policy)[0].size(1) == small_config().n_heads);
  const auto mla = wide_decoder({small_config(), variant_of("mla_deepseek")});
  CHECK_THROWS_WITH(logits_of(*mla, plan_of(policy)), ContainsSubstring("eval.cache.policy") &&
                                                          ContainsSubstring("no keys and values of KV heads"));
}

// One layer's keys and values follow from the tokens alone: what is held, counted anew, is a text of its own.
TEST_CASE("positions counted anew are those of a text of the held tokens") {
  auto config = small_config();
  config.n_layers = 1;
  const auto prompts = ragged_prompts(8);
  const PolicyConfig policy{.policy = streaming, .budget = 5, .sinks = 2};
  for (const auto& name : variant_names_for(config.attention_shape())) {
    INFO(name);
    const auto decoder = wide_decoder({config, *variant_defaults(name)});
    const auto plan = plan_of(policy);
    if (refused(*decoder, plan)) continue;
    const torch::NoGradGuard no_grad;
    PaddedBatch batch(*decoder, prompts, 4, 3, plan);
    batch.prefill();
    auto held = prompts;
    for (const int64_t token : {7, 30, 2}) {
      const auto logits = batch.step(torch::full({std::ssize(prompts)}, token, torch::kInt64));
      for (size_t row = 0; row < held.size(); ++row) {
        auto& ids = held[row];
        if (ids.size() > 5) ids.erase(ids.begin() + 2, ids.end() - 3);
        ids.push_back(token);
        const auto expected = decoder->logits(decoder->hidden(torch::tensor(ids).unsqueeze(0)))[0][-1];
        // Tables are float32, and turning back and forth takes the difference of two of their angles.
        CHECK((logits[static_cast<int64_t>(row)] - expected).abs().max().item<double>() < 1e-5);
      }
    }
  }
}

TEST_CASE("counted bytes are those that states take behind a prompt, with scores, places and copies") {
  auto policies = short_policies();
  policies.push_back({.policy = snapkv, .source = PolicySource::official, .budget = 6, .window = 2});
  policies.push_back({.policy = h2o, .source = PolicySource::kvpress, .share = 0.5});
  for (const auto& form : test::all_forms(small_config())) {
    const auto decoder = wide_decoder(form);
    for (const auto& policy : policies) {
      INFO(form_name(form) << ", " << name_of(policy.policy) << " of " << name_of(policy.source));
      const auto plan = plan_of(policy);
      if (refused(*decoder, plan)) continue;
      PaddedBatch batch(*decoder, one_prompt(20), 3, 512, plan);
      const torch::NoGradGuard no_grad;
      batch.prefill();
      int64_t bytes = 0;
      for (const auto& state : batch.states()) bytes += state.bytes();
      CHECK(static_cast<double>(bytes) == decoder->state_bytes({.policy = policy}, 20, 8));
    }
  }
}

CachePlan lazy_plan(std::vector<double> prune) {
  return plan_of({.policy = lazyllm, .prune = std::move(prune)});
}

torch::Tensor lazy_logits(Decoder& decoder, const CachePlan& plan, int64_t chunk) {
  const torch::NoGradGuard no_grad;
  LazyBatch batch(decoder, one_prompt(20), 9, chunk, plan);
  std::vector<torch::Tensor> logits{batch.prefill()};
  for (int64_t i = 0; i < 8; ++i)
    logits.push_back(batch.step(torch::tensor({(5 * i + 3) % 37}, torch::kInt64)));
  return torch::cat(logits);
}

double apart(const torch::Tensor& a, const torch::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST_CASE(
    "LazyLLM that prunes nothing is the whole model, and that prunes is the same in any batch and pieces") {
  const auto prompts = ragged_prompts(8);
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    const auto decoder = wide_decoder(form);
    std::vector<double> shares(static_cast<size_t>(form.config.n_layers));
    if (refused(*decoder, lazy_plan(shares))) continue;
    const auto full = logits_of(*decoder, {});
    CHECK(apart(lazy_logits(*decoder, lazy_plan(shares), 512), full) < 1e-9);
    shares[0] = 0.6;
    const auto plan = lazy_plan(shares);
    const auto pruned = lazy_logits(*decoder, plan, 512);
    CHECK(apart(pruned, full) > 1e-3);
    for (const int64_t chunk : {1, 3}) CHECK(apart(lazy_logits(*decoder, plan, chunk), pruned) < 1e-9);
    const auto expected = alone(*decoder, prompts, {.max_new_tokens = 9, .cache = plan});
    for (const auto& way : ways_to_generate(plan)) CHECK(generate(*decoder, prompts, way) == expected);
  }
}

TEST_CASE("LazyLLM's layers run each token once, and what left waits where it left") {
  const auto decoder = wide_decoder(native_form(small_config()));
  const auto plan = lazy_plan({0.5, 0});
  LazyBatch batch(*decoder, one_prompt(20), 9, 512, plan);
  const torch::NoGradGuard no_grad;
  batch.prefill();
  CHECK(static_cast<double>(batch.bytes()) ==
        decoder->state_bytes({.policy = {.policy = lazyllm, .prune = {0.5, 0}}}, 20, 8));
  std::set<int64_t> ran;
  const auto& row = batch.rows()[0];
  for (int64_t i = 0; i < 9; ++i) {
    if (i > 0) batch.step(torch::tensor({7 * i % 37}, torch::kInt64));
    const auto& [used, computed] = row.trace();
    CHECK(std::ssize(used[1]) == 20 + i - pruned_tokens(20 + i, 0.5));
    CHECK(used[1].back() == 19 + i);  // the newest never leaves
    for (const int64_t column : computed[1]) CHECK(ran.insert(column).second);
    for (const int64_t column : used[1]) CHECK(ran.contains(column));
    CHECK(std::ssize(ran) + row.waiting(1) == 20 + i);
  }
  CHECK_THROWS_WITH(
      LazyBatch(*decoder, one_prompt(5), 3, 512, lazy_plan({0.5})),
      ContainsSubstring("eval.cache.prune: found 1 shares, expected one for each of the 2 layers"));
}

TEST_CASE("a context that is read apart is compressed before the rest of its prompt is seen") {
  const auto decoder = wide_decoder(native_form(small_config()));
  const auto prompt = one_prompt(20);
  const std::vector<int64_t> context(prompt[0].begin(), prompt[0].begin() + 14);
  const auto read = [&](const CachePlan& plan, std::vector<size_t> contexts, int64_t chunk) {
    return generate(*decoder, {prompt[0], context, prompt[0]},
                    {.max_new_tokens = 9, .prefill_chunk = chunk, .cache = plan, .context_tokens = contexts});
  };
  const std::vector<size_t> contexts{14, 5, 14};
  CHECK(read({}, contexts, 512) == read({}, {}, 512));  // nothing is lost
  const auto plan = plan_of({.policy = snapkv, .budget = 8, .window = 3, .kernel = 3});
  const auto apart = read(plan, contexts, 512);
  CHECK(apart[0] == apart[2]);
  CHECK(apart != read(plan, {}, 512));
  CHECK(apart == read(plan, contexts, 2));
  // SnapKV drops nothing later: the rest may as well come token by token.
  const torch::NoGradGuard no_grad;
  PaddedBatch batch(*decoder, {context}, 16, 512, plan);
  auto next = batch.prefill().argmax(-1);
  std::vector<int64_t> out;
  for (size_t i = 14; i < 20 + 9; ++i) {
    next = batch.step(i < 20 ? torch::tensor({prompt[0][i]}) : next).argmax(-1);
    if (i >= 19 && out.size() < 9) out.push_back(next.item<int64_t>());
  }
  CHECK(out == apart[0]);
}

TEST_CASE("a policy that drops tokens is refused where rotary frequencies change on the way") {
  auto config = small_config();
  config.rope_scaling = RopeScaling{.type = RopeType::dynamic, .factor = 2, .original_positions = 24};
  const auto decoder = wide_decoder(native_form(config));
  const auto plan = plan_of({.policy = tova, .budget = 9});
  CHECK_THROWS_WITH(PaddedBatch(*decoder, one_prompt(20), 9, 512, plan),
                    ContainsSubstring("texts of 20 to 29 tokens") && ContainsSubstring("rope_scaling"));
  CHECK_NOTHROW(PaddedBatch(*decoder, one_prompt(10), 9, 512, plan));
  CHECK_NOTHROW(PaddedBatch(*decoder, one_prompt(20), 9, 512));
}

TEST_CASE("budgets by layer hold layer by layer, and must be as many as there are layers") {
  const auto decoder = wide_decoder(native_form(small_config()));
  const auto places = places_under(*decoder, {.policy = tova, .layer_budgets = {6, 11}});
  CHECK((places[0].size(2) == 6 && places[1].size(2) == 11));
  CHECK_THROWS_WITH(places_under(*decoder, {.policy = tova, .layer_budgets = {6, 11, 4}}),
                    ContainsSubstring("found 3 numbers, expected one for each of the 2 layers"));
}

}  // namespace
}  // namespace attnlab
