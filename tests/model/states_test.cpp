// States of other kinds than a whole cache, through everything that a decoder does with them: a mixer that
// keeps a running mean, and a policy that drops every second token.
#include "../state/every_second.h"
#include "catch.h"
#include "generate_ways.h"
#include "model/loss.h"
#include "running_mean.h"

namespace attnlab {
namespace {

using test::alone;
using test::every_second;
using test::lively_weights;
using test::make_decoder;
using test::mean_decoder;
using test::ragged_prompts;
using test::small_config;
using test::variant_of;
using test::ways_to_generate;

std::vector<std::vector<int64_t>> without_states(Decoder& decoder,
                                                 const std::vector<std::vector<int64_t>>& prompts,
                                                 int64_t count) {
  const torch::NoGradGuard no_grad;
  std::vector<std::vector<int64_t>> out;
  for (auto ids : prompts) {
    out.emplace_back();
    for (int64_t i = 0; i < count; ++i) {
      const auto hidden = decoder.hidden(torch::tensor(ids).unsqueeze(0));
      ids.push_back(decoder.logits(hidden.select(1, -1)).argmax(-1).item<int64_t>());
      out.back().push_back(ids.back());
    }
  }
  return out;
}

TEST_CASE("a fixed state generates what whole passes give: padded, in pieces, with rows that leave and enter") {
  const auto decoder = mean_decoder(small_config());
  const auto prompts = ragged_prompts(8);
  const auto expected = without_states(*decoder, prompts, 9);
  for (const auto& way : ways_to_generate({})) CHECK(generate(*decoder, prompts, way) == expected);
  // With a stop that some rows meet early, they leave at different times.
  const int64_t stop = expected[1][3];
  GenerateOptions stopping{.max_new_tokens = 9, .stop_tokens = {stop}, .batch_rows = 3};
  CHECK(generate(*decoder, prompts, stopping) == alone(*decoder, prompts, stopping));
}

TEST_CASE("a fixed state starts anew with each packed document") {
  const auto decoder = mean_decoder(small_config());
  decoder->to(torch::kFloat64);
  const std::vector<int64_t> first{5, 6, 7, 8}, second{9, 3, 1};
  std::vector<int64_t> ids = first, targets{6, 7, 8, 2, 3, 1, 4}, positions{0, 1, 2, 3, 0, 1, 2};
  ids.insert(ids.end(), second.begin(), second.end());
  const auto loss = [&](std::span<const int64_t> of_ids, std::span<const int64_t> of_targets,
                        std::span<const int64_t> of_positions) {
    return summed_loss(*decoder, make_loss_input(of_ids, of_targets, 1, static_cast<int64_t>(of_ids.size()),
                                                 torch::kCPU, of_positions))
        .item<double>();
  };
  const std::span<const int64_t> all(targets);
  const double together = loss(ids, targets, positions);
  const double apart = loss(first, all.first(4), {}) + loss(second, all.subspan(4), {});
  CHECK(together == Approx(apart).epsilon(1e-6));  // sums are float32
  CHECK(std::abs(loss(ids, targets, {}) - apart) > 1e-3);
}

TEST_CASE("a dropping policy gives each prompt in a batch what it gives the prompt alone") {
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    const auto decoder = make_decoder(form, lively_weights(form.config));
    const auto plan = every_second(false);
    const auto prompts = ragged_prompts(8);
    if (decoder->cached_numbers_per_token() == 0) {
      CHECK_THROWS_WITH(generate(*decoder, prompts, {.cache = plan}), ContainsSubstring("fixed size"));
      continue;
    }
    const auto expected = alone(*decoder, prompts, {.max_new_tokens = 9, .cache = plan});
    CHECK(expected != without_states(*decoder, prompts, 9));  // it acts
    for (const auto& way : ways_to_generate(plan)) CHECK(generate(*decoder, prompts, way) == expected);
  }
}

TEST_CASE("a policy by head acts on layers that have heads, and is refused on those that share a latent") {
  const auto config = small_config();
  const auto plan = every_second(true);
  const auto gqa = make_decoder(config, lively_weights(config), Gqa::Config{});
  const auto prompts = ragged_prompts(8);
  const auto expected = alone(*gqa, prompts, {.max_new_tokens = 9, .cache = plan});
  CHECK(expected != alone(*gqa, prompts, {.max_new_tokens = 9, .cache = every_second(false)}));
  for (const auto& way : ways_to_generate(plan)) CHECK(generate(*gqa, prompts, way) == expected);
  const auto mla = make_decoder(config, lively_weights(config), variant_of("mla_deepseek"));
  CHECK_THROWS_WITH(generate(*mla, prompts, {.cache = plan}),
                    ContainsSubstring("eval.cache.policy") && ContainsSubstring("all heads of this layer"));
  const auto mean = mean_decoder(config);
  CHECK_THROWS_WITH(generate(*mean, prompts, {.cache = every_second(false)}), ContainsSubstring("fixed size"));
}

TEST_CASE("bytes at a context are those of all layers' states") {
  const auto config = small_config();  // one running mean of 20 + 1 numbers, one GQA layer of 2 · 2 · 6
  const auto decoder = mean_decoder(config);
  CHECK(decoder->state_bytes({}, 50, 2) == 21 * 4 + 50 * 24 * 2);
  const auto gqa = make_decoder(config, lively_weights(config), Gqa::Config{});
  CHECK(gqa->state_bytes({}, 50, 4) == 2 * 50 * 24 * 4);
}

}  // namespace
}  // namespace attnlab
