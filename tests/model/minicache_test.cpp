// Pairs of layers that keep one direction for each token, through everything that a decoder does with states.
#include "../state/every_second.h"
#include "attention/gqa.h"
#include "catch.h"
#include "model/generate.h"
#include "small_decoder.h"
#include "state/storage_forms.h"

namespace attnlab {
namespace {

DecoderConfig five_layers() {
  auto config = test::small_config();
  config.n_layers = 5;
  return config;
}

std::shared_ptr<Decoder> merged_decoder() {
  auto decoder = test::make_decoder(five_layers(), test::lively_weights(five_layers()), Gqa::Config{});
  decoder->to(torch::kFloat64);
  return decoder;
}

CachePlan merged_plan(double retain, int64_t from = -1) {
  return {.storage = storage_form({.name = CacheStorageName::minicache, .retain = retain, .merge_from = from}),
          .as_computed = false};
}

std::vector<std::vector<int64_t>> some_prompts() {
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t i = 0; i < 6; ++i) {
    prompts.emplace_back();
    for (int64_t t = 0; t <= 9 * i % 23; ++t) prompts.back().push_back((3 * i + 5 * t) % 37);
  }
  return prompts;
}

TEST_CASE("merged layers give each prompt in a batch what they give the prompt alone, dropped tokens or not") {
  const auto decoder = merged_decoder();
  const auto prompts = some_prompts();
  for (const bool drops : {false, true})
    for (const int64_t from : {-1, 1}) {
      CachePlan plan = merged_plan(0.3, from);
      if (drops) plan.policy = test::every_second(false).policy;
      std::vector<std::vector<int64_t>> expected;
      for (const auto& prompt : prompts)
        expected.push_back(generate(*decoder, {prompt}, {.max_new_tokens = 11, .cache = plan})[0]);
      for (const int64_t chunk : {3, 512})
        CHECK(generate(*decoder, prompts,
                       {.max_new_tokens = 11, .prefill_chunk = chunk, .cache = plan, .batch_rows = 4}) ==
              expected);
    }
  // It acts; and where every token is retained, it does not.
  const auto plain = generate(*decoder, prompts, {.max_new_tokens = 11});
  CHECK(generate(*decoder, prompts, {.max_new_tokens = 11, .cache = merged_plan(0)}) != plain);
}

TEST_CASE("two layers keep three quarters of four vectors, and what is retained beside") {
  const auto decoder = merged_decoder();
  const torch::NoGradGuard no_grad;
  auto states = decoder->make_states(1, 50, merged_plan(0));
  decoder->hidden(torch::randint(0, 37, {1, 50}, torch::kInt64), {.states = &states});
  const int64_t W = 12, e = 8;  // numbers of a slot in float64
  CHECK(states[1].bytes() == 50 * 2 * W * e);
  CHECK(states[2].bytes() == 50 * 2 * (W + 1) * e);
  CHECK(states[3].bytes() == 50 * 2 * e);
  CHECK(states[4].bytes() == 50 * 2 * W * e);
  const CacheConfig config{.storage = {.name = CacheStorageName::minicache, .retain = 0}};
  CHECK(decoder->state_bytes(config, 50, e) == 50 * 2 * e * (4 * W + 2));
}

TEST_CASE("what is held beside what is counted are tokens retained beyond the share that is reckoned with") {
  const auto decoder = merged_decoder();
  const torch::NoGradGuard no_grad;
  auto states = decoder->make_states(1, 50, merged_plan(0.3));
  decoder->hidden(torch::randint(0, 37, {1, 50}, torch::kInt64), {.states = &states});
  const double W = 12, e = 8;
  int64_t held = 0;
  double beyond = 0;
  for (const auto& state : states) held += state.bytes();
  for (const size_t slot : {0, 1}) {
    const int64_t retained = states[2].storage(slot).parts()[1].size(1);
    CHECK(retained > 0);
    beyond += (static_cast<double>(retained) - 0.3 * 50) * (2 * W * e + 4);
  }
  const CacheConfig config{.storage = {.name = CacheStorageName::minicache, .retain = 0.3}};
  CHECK(static_cast<double>(held) == Approx(decoder->state_bytes(config, 50, e) + beyond));
}

TEST_CASE("merged layers with a window hold and show its tokens alone") {
  const StateLayout layout{{.name = "k", .width = 6}};
  const CachePlan plan = merged_plan(0.3, 0);
  const auto pair_with = [&](int64_t window) {
    const auto form = plan.storage->for_states(2);
    std::vector<LayerState> states;
    for (const size_t layer : {0, 1}) {
      CachePlan own = plan;
      own.storage = form->of_layer(layer, 2);
      states.emplace_back(layout, 2, 60, torch::kFloat64, window, own);
    }
    return states;
  };
  auto all = pair_with(0), windowed = pair_with(7);
  const auto x_LBTW = torch::randn({2, 2, 60, 6}, torch::kFloat64);
  for (int64_t begin = 0, T = 40; begin < 60; begin += T, T = 1)
    for (const size_t i : {0, 1}) {
      const auto x_BTW = x_LBTW[static_cast<int64_t>(i)].narrow(1, begin, T);
      const auto expected = all[i].remember(0, x_BTW), seen = windowed[i].remember(0, x_BTW);
      CHECK(seen.size(1) == (begin == 0 ? T : 7));
      CHECK(torch::equal(seen, expected.narrow(1, begin + T - seen.size(1), seen.size(1))));
      const Sequence sequence(SequenceParts{.begin = begin, .T = T});
      all[i].settle(sequence), windowed[i].settle(sequence);
    }
  CHECK(windowed[0].storage(0).length() == 7);
  CHECK(windowed[0].bytes() + windowed[1].bytes() < (all[0].bytes() + all[1].bytes()) / 4);
}

TEST_CASE("of a pair with a window in one layer, or two that differ, both hold what the wider one shows") {
  auto config = test::small_config();
  config.family = Family::mistral, config.n_layers = 4, config.window = 8;
  for (const auto& window_layers : std::vector<std::vector<int64_t>>{{0, 2}, {1, 3}, {0, 3}, {0, 1, 2, 3}}) {
    INFO("windows from layer " << window_layers[0] << " on, " << window_layers.size());
    config.window_layers = window_layers;
    const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
    decoder->to(torch::kFloat64);
    const torch::NoGradGuard no_grad;
    auto states = decoder->make_states(1, 51, merged_plan(0, 0));
    const auto ids = torch::randint(0, 37, {1, 51}, torch::kInt64);
    // All of it a prompt: a later token further apart than any of the prompt's would be retained.
    decoder->hidden(ids, {.states = &states});
    int64_t held = 0;
    for (const auto& state : states) held += state.bytes();
    const CacheConfig cache{.storage = {.name = CacheStorageName::minicache, .retain = 0, .merge_from = 0}};
    CHECK(decoder->state_bytes(cache, 51, 8) == held);
  }
  // Two widths: the pair holds the wider one's.
  const auto form = merged_plan(0, 0).storage;
  CHECK(form->window_of(0, {5, 9, 0, 9}) == 9);
  CHECK(form->window_of(1, {5, 9, 0, 9}) == 9);
  CHECK(form->window_of(3, {5, 9, 0, 9}) == 0);
  CHECK(merged_plan(0, 1).storage->window_of(0, {5, 0, 9, 9}) == 5);  // below the pairs
}

TEST_CASE("a mark brings both layers back, and a policy that judges by attention is refused") {
  const auto decoder = merged_decoder();
  const torch::NoGradGuard no_grad;
  const auto ids = torch::randint(0, 37, {2, 20}, torch::kInt64);
  auto states = decoder->make_states(2, 20, merged_plan(0.2));
  const auto step = [&](int64_t t) {
    return decoder->hidden(ids.narrow(1, t, 1), {.sequence = {.begin = t}, .states = &states});
  };
  decoder->hidden(ids.narrow(1, 0, 12), {.states = &states});
  for (auto& state : states) state.mark();
  const auto once = step(12), twice = step(13);
  for (int pass = 0; pass < 2; ++pass) {
    for (auto& state : states) state.rewind(12);
    CHECK(torch::equal(step(12), once));
    CHECK(torch::equal(step(13), twice));
  }
  CachePlan by_head = merged_plan(0.2);
  by_head.policy = test::every_second(true).policy;
  CHECK_THROWS_WITH(generate(*decoder, {{1, 2}}, {.cache = by_head}),
                    ContainsSubstring("eval.cache.policy: found one that chooses in each layer by itself"));
}

}  // namespace
}  // namespace attnlab
