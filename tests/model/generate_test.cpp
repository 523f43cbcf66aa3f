#include "model/generate.h"

#include "attention/gqa.h"
#include "attention/mla_identity.h"
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

TEST_CASE(
    "prompts of different lengths in one batch get the tokens that they get alone, in every variant and "
    "hybrid") {
  const std::vector<std::vector<int64_t>> prompts{{5}, {7, 1, 30, 2, 2, 9, 11}, {4, 4, 8}, {20, 21}};
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    const auto decoder = make_decoder(form, lively_weights(form.config));
    std::vector<std::vector<int64_t>> alone;
    for (const auto& prompt : prompts) alone.push_back(generate_without_cache(*decoder, prompt, 20, -1));
    CHECK(generate(*decoder, prompts, {.max_new_tokens = 20}) == alone);
    CHECK(generate(*decoder, prompts, {.max_new_tokens = 20, .in_rows = false}) == alone);
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

// Prompts of 1 to 9 tokens, and the tokens that each gets alone until `stop`.
struct Queue {
  std::vector<std::vector<int64_t>> prompts, alone;

  Queue(Decoder& decoder, int64_t stop) {
    for (int64_t i = 0; i < 11; ++i) {
      std::vector<int64_t> prompt;
      for (int64_t t = 0; t <= 7 * i % 9; ++t) prompt.push_back((3 * i + 5 * t) % 37);
      prompts.push_back(prompt);
      alone.push_back(generate_without_cache(decoder, prompt, 14, stop));
    }
  }
};

TEST_CASE("prompts that wait for a place get the tokens that they get alone, in every variant and hybrid") {
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    const auto decoder = make_decoder(form, lively_weights(form.config));
    const int64_t stop = generate(*decoder, {{5, 6}}, {.max_new_tokens = 9})[0][4];
    const Queue queue(*decoder, stop);
    for (const size_t rows : {1, 3, 4, 20}) {
      INFO("at most " << rows << " at a time");
      for (const bool in_rows : {false, true})
        CHECK(generate(*decoder, queue.prompts,
                       {.max_new_tokens = 14, .stop_tokens = {stop}, .batch_rows = rows, .in_rows = in_rows}) ==
              queue.alone);
    }
  }
}

TEST_CASE("prompts enter a batch whose layers keep a window only") {
  auto config = small_config();
  config.family = Family::mistral;
  config.window = 4;
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const Queue queue(*decoder, -1);
  for (const size_t rows : {2, 3})
    for (const bool in_rows : {false, true})
      CHECK(generate(*decoder, queue.prompts, {.max_new_tokens = 14, .batch_rows = rows, .in_rows = in_rows}) ==
            queue.alone);
}

TEST_CASE("a prompt draws the same random numbers whenever it enters") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const Queue queue(*decoder, -1);
  const GenerateOptions options{.max_new_tokens = 6, .sampling = {.temperature = 1}, .seed = 3};
  auto waiting = options;
  waiting.batch_rows = 2;
  CHECK(generate(*decoder, queue.prompts, waiting) == generate(*decoder, queue.prompts, options));
}

TEST_CASE("nothing to do gives nothing") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  CHECK(generate(*decoder, {}, {}).empty());
  CHECK(generate(*decoder, {{1}}, {.max_new_tokens = 0}) == std::vector<std::vector<int64_t>>{{}});
}

}  // namespace
}  // namespace attnlab
