// Replies that depend on nothing but their prompt, bit for bit.
//
// Greedy tokens alone would hide all but the largest differences: tokens are drawn at a high temperature, where
// each draw looks at all the digits of a sum of probabilities.
#include <algorithm>

#include "attention/gqa.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "generate_ways.h"
#include "small_decoder.h"
#include "state/policy.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::small_config;
using Outputs = std::vector<std::vector<int64_t>>;

GenerateOptions invariant_options(std::vector<uint64_t> streams, int64_t chunk, size_t rows) {
  return {.max_new_tokens = 12,
          .sampling = {.temperature = 4},
          .streams = std::move(streams),
          .prefill_chunk = chunk,
          .batch_rows = rows,
          .batch_invariant = true};
}

// All together, one after the other, in the other order, with prompts in pieces.
void check_invariant(Decoder& decoder, const Outputs& prompts) {
  std::vector<uint64_t> streams;
  for (size_t i = 0; i < prompts.size(); ++i) streams.push_back(i);
  const auto together = generate(decoder, prompts, invariant_options(streams, 512, 0));
  for (const int64_t chunk : {1, 3})
    CHECK(generate(decoder, prompts, invariant_options(streams, chunk, 2)) == together);
  auto turned = generate(decoder, {prompts.rbegin(), prompts.rend()},
                         invariant_options({streams.rbegin(), streams.rend()}, 4, 3));
  std::reverse(turned.begin(), turned.end());
  CHECK(turned == together);
  for (size_t i = 0; i < prompts.size(); ++i)
    CHECK(generate(decoder, {prompts[i]}, invariant_options({i}, 5, 1))[0] == together[i]);
}

TEST_CASE("batch-invariant replies are the same bits in every variant, whatever is asked beside them") {
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    check_invariant(*make_decoder(form, lively_weights(form.config)), test::ragged_prompts(5));
  }
}

TEST_CASE("batch-invariant replies are the same bits on a GPU, in single and in half precision") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    const auto decoder = make_decoder(form, lively_weights(form.config));
    decoder->to(torch::kCUDA);
    check_invariant(*decoder, test::ragged_prompts(5));
  }
  auto config = small_config();  // as wide as fused kernels want it
  config.d_model = 96, config.head_dim = 16;
  for (const VariantConfig& variant : {VariantConfig(Gqa::Config{}), VariantConfig(MlaOrthogonal::Config{})}) {
    const auto decoder = make_decoder(config, lively_weights(config), variant);
    decoder->to(torch::kCUDA, torch::kBFloat16);
    check_invariant(*decoder, test::ragged_prompts(5));
  }
}

TEST_CASE("a context that a cache acts behind is read token by token, too, where replies are batch-invariant") {
  const auto decoder = make_decoder(small_config(), lively_weights(small_config()), Gqa::Config{});
  auto prompts = test::ragged_prompts(5);
  for (auto& prompt : prompts) prompt.insert(prompt.begin(), {4, 8, 15, 16, 23, 5, 9, 2});
  const CachePlan plan =
      make_cache_plan({.policy = {.policy = CachePolicyName::h2o, .budget = 6, .recent = 3}});
  const auto ask = [&](int64_t chunk, size_t rows) {
    auto options = invariant_options({}, chunk, rows);
    options.cache = plan;
    options.context_tokens.assign(prompts.size(), 7);
    return generate(*decoder, prompts, options);
  };
  const auto whole = ask(512, 0);
  for (const int64_t chunk : {1, 2, 5}) CHECK(ask(chunk, 2) == whole);
}

}  // namespace
}  // namespace attnlab
