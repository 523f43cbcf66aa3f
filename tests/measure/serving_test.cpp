#include "measure/serving.h"

#include "catch.h"
#include "measure/decode_step.h"

namespace attnlab {
namespace {

std::shared_ptr<Decoder> small_form(const std::string& form) {
  // float32, so that a row's products are those of one alone up to rounding that no argmax sees.
  return random_decoder(decode_form(DecodeShape::small, form, {.kv_lora_rank = 32, .qk_rope_head_dim = 8}, {}),
                        torch::kFloat32, torch::kCPU);
}

TEST_CASE("every request gets the tokens that it would get alone, whatever the batch and the pass") {
  for (const std::string form : {"gqa", "mla_absorbed", "linear_attention"}) {
    const auto decoder = small_form(form);
    ServeOptions options{.requests = 7, .context = 25, .seed = 3};
    const auto prompts = random_prompts(7, 12, decoder->config().vocab_size, 3);
    std::vector<std::vector<int64_t>> alone;
    for (const auto& prompt : prompts)
      alone.push_back(generate(*decoder, {prompt}, {.max_new_tokens = 13, .batch_invariant = true})[0]);
    for (const int64_t batch : {0, 1, 3, 7})
      for (const int64_t pass : {5, 4096}) {
        INFO(form << ", batch " << batch << ", pass " << pass);
        options.batch = batch, options.pass_tokens = pass;
        const Served served = serve(*decoder, options);
        CHECK(served.answers == alone);
        for (const auto& answer : served.answers) CHECK(answer.size() == 13);
        CHECK(served.report.in_rows == (form != "linear_attention"));
        CHECK(0 < served.report.prefill_seconds);
        CHECK(served.report.prefill_seconds < served.seconds);
        // A token of each comes from its prompt; a batch grows together.
        if (served.report.in_rows)
          CHECK(served.report.steps == 12 * (batch == 0 ? 1 : (7 + batch - 1) / batch));
      }
  }
}

TEST_CASE("prompts are those of their seed, and have nothing to share") {
  const auto prompts = random_prompts(20, 16, 512, 1);
  CHECK(prompts == random_prompts(20, 16, 512, 1));
  CHECK(prompts != random_prompts(20, 16, 512, 2));
  for (size_t i = 1; i < prompts.size(); ++i) CHECK(prompts[i] != prompts[0]);
  for (const auto& prompt : prompts)
    for (const int64_t token : prompt) CHECK((0 <= token && token < 512));
}

TEST_CASE("requests are counted by what they cache in places of the row's width") {
  const auto decoder = small_form("gqa");
  double weights = 0;
  for (const auto& parameter : decoder->parameters()) weights += static_cast<double>(parameter.nbytes());
  // 100 tokens and 8 that nobody needs, in multiples of 64: 128 columns of 2 · 2 · 32 float32 numbers.
  const double row = 128 * 4 * 2 * 2 * 32;
  CHECK(counted_requests(*decoder, weights + 5 * row, 100) == 5);
  CHECK(counted_requests(*decoder, weights + 5 * row - 1, 100) == 4);
  CHECK(counted_requests(*decoder, weights - 1, 100) == 0);
  // A step has room for one token more.
  CHECK(counted_batch(*decoder, weights + 5 * 101 * 4.0 * 2 * 2 * 32, 101) == 5);
}

TEST_CASE("what serving holds at most is tried in the places of a full batch") {
  for (const std::string form : {"gqa", "mla_absorbed", "linear_attention"})
    for (const int64_t batch : {0, 1, 5})
      CHECK_NOTHROW(
          try_serving(*small_form(form), {.requests = 6, .context = 40, .batch = batch, .pass_tokens = 30}));
}

}  // namespace
}  // namespace attnlab
