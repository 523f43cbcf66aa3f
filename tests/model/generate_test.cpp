#include "model/generate.h"

#include "catch.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::small_config;

// The naive twin: the whole sequence again for every token.
std::vector<int64_t> generate_without_cache(Decoder& decoder, std::vector<int64_t> ids, int64_t count,
                                            int64_t stop) {
  const torch::NoGradGuard no_grad;
  std::vector<int64_t> out;
  while (static_cast<int64_t>(out.size()) < count) {
    const auto hidden = decoder.hidden(torch::tensor(ids).unsqueeze(0));
    const int64_t next = decoder.logits(hidden.select(1, -1)).argmax(-1).item<int64_t>();
    if (next == stop) break;
    out.push_back(next);
    ids.push_back(next);
  }
  return out;
}

TEST_CASE("prompts of different lengths in one batch get the tokens that they get alone, in every variant") {
  const auto config = small_config();
  const auto base = lively_weights(config);
  const std::vector<std::vector<int64_t>> prompts{{5}, {7, 1, 30, 2, 2, 9, 11}, {4, 4, 8}, {20, 21}};
  for (const auto& name : variant_names_for(config.attention_shape())) {
    INFO(name);
    const auto decoder = make_decoder(config, base, *variant_defaults(name));
    std::vector<std::vector<int64_t>> alone;
    for (const auto& prompt : prompts) alone.push_back(generate_without_cache(*decoder, prompt, 20, -1));
    CHECK(generate(*decoder, prompts, {.max_new_tokens = 20}) == alone);
  }
}

TEST_CASE("sequences end at a stop token, and the others go on") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), MlaIdentity::Config{});
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t i = 0; i < 9; ++i) prompts.push_back(std::vector<int64_t>(static_cast<size_t>(1 + i % 4), i));
  // A token that some sequences meet early and others do not.
  const auto free = generate(*decoder, prompts, {.max_new_tokens = 12});
  const int64_t stop = free[0][2];
  std::vector<std::vector<int64_t>> alone;
  size_t shortest = 12, longest = 0;
  for (const auto& prompt : prompts) {
    alone.push_back(generate_without_cache(*decoder, prompt, 12, stop));
    shortest = std::min(shortest, alone.back().size());
    longest = std::max(longest, alone.back().size());
  }
  REQUIRE(shortest < longest);
  CHECK(generate(*decoder, prompts, {.max_new_tokens = 12, .stop_tokens = {stop}}) == alone);
}

TEST_CASE("nothing to do gives nothing") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  CHECK(generate(*decoder, {}, {}).empty());
  CHECK(generate(*decoder, {{1}}, {.max_new_tokens = 0}) == std::vector<std::vector<int64_t>>{{}});
}

}  // namespace
}  // namespace attnlab
