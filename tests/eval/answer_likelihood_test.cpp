#include "eval/answer_likelihood.h"

#include "attention/gqa.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "model/generate.h"
#include "support.h"

namespace attnlab {
namespace {

using test::byte_config;
using test::byte_tokenizer;
using test::ragged_problems;

// One token after the other.
double naive_sum(Decoder& decoder, std::vector<int64_t> ids, const std::vector<int64_t>& answer) {
  const torch::NoGradGuard no_grad;
  double sum = 0;
  for (const int64_t id : answer) {
    const auto logits = decoder.logits(decoder.hidden(torch::tensor(ids).unsqueeze(0))[0][-1]);
    sum += torch::log_softmax(logits.to(torch::kFloat64), -1)[id].item<double>();
    ids.push_back(id);
  }
  return sum;
}

std::vector<int64_t> encoded(const std::string& text, std::optional<int64_t> before,
                             std::optional<int64_t> after) {
  std::vector<int64_t> ids;
  if (before) ids.push_back(*before);
  const auto more = byte_tokenizer()->encode(text);
  ids.insert(ids.end(), more.begin(), more.end());
  if (after) ids.push_back(*after);
  return ids;
}

TEST_CASE("likelihoods of reference answers and of own right ones are means over answers") {
  const auto decoder = test::make_decoder(byte_config(), test::lively_weights(byte_config()), Gqa::Config{});
  const auto problems = ragged_problems();
  std::vector<Answered> answers(problems.size());
  answers[1] = {.output = "so 7", .extracted = "7", .correct = true};
  answers[2] = {.output = "wrong", .extracted = "1", .correct = false};
  const auto found = answer_likelihoods(*decoder, *byte_tokenizer(), problems, answers,
                                        {.bos_id = test::bos_id, .eos_id = test::eos_id});
  double sum = 0;
  int64_t tokens = 0;
  for (const auto& problem : problems) {
    const auto answer = encoded(problem.answer, std::nullopt, test::eos_id);
    sum += naive_sum(*decoder, encoded(problem.prompt, test::bos_id, std::nullopt), answer);
    tokens += std::ssize(answer);
  }
  // Logits of size 10 over two layers in float32, over the tokens of an answer.
  const double margin = 2e-5 * static_cast<double>(tokens);
  CHECK(found.reference.mean == Approx(sum / static_cast<double>(problems.size())).margin(margin));
  CHECK(found.reference.tokens == tokens);
  CHECK(found.own.answers == 1);
  CHECK(found.own.mean == Approx(naive_sum(*decoder, encoded(problems[1].prompt, test::bos_id, std::nullopt),
                                           encoded("so 7", std::nullopt, test::eos_id)))
                              .margin(margin));
}

TEST_CASE("a model without a right answer has no likelihood of its own") {
  const auto decoder = test::make_decoder(byte_config(), test::lively_weights(byte_config()), Gqa::Config{});
  const auto problems = ragged_problems();
  const auto found = answer_likelihoods(*decoder, *byte_tokenizer(), problems,
                                        std::vector<Answered>(problems.size()), {.eos_id = test::eos_id});
  CHECK(std::isnan(found.own.mean));
  CHECK(found.own.answers == 0);
}

// Greedy tokens alone would hide all but the largest differences: the tokens are drawn at a high temperature,
// where each draw looks at all the digits of a sum of probabilities.
TEST_CASE("batch-invariant generation gives the same tokens whatever the batch and the pieces of the prompt") {
  const auto decoder =
      test::make_decoder(byte_config(), test::lively_weights(byte_config()), MlaOrthogonal::Config{});
  std::vector<std::vector<int64_t>> prompts;
  for (const auto& problem : ragged_problems())
    prompts.push_back(encoded(problem.prompt, test::bos_id, std::nullopt));
  const auto ask = [&](std::vector<std::vector<int64_t>> of, std::vector<uint64_t> streams, int64_t chunk,
                       size_t rows) {
    return generate(*decoder, of,
                    {.max_new_tokens = 24,
                     .sampling = {.temperature = 4},
                     .streams = std::move(streams),
                     .prefill_chunk = chunk,
                     .batch_rows = rows,
                     .batch_invariant = true});
  };
  std::vector<uint64_t> streams(prompts.size());
  for (size_t i = 0; i < streams.size(); ++i) streams[i] = i;
  const auto together = ask(prompts, streams, 512, 0);
  for (const int64_t chunk : {1, 3, 512})
    for (const size_t rows : {1, 2, 7}) CHECK(ask(prompts, streams, chunk, rows) == together);
  for (size_t i = 0; i < prompts.size(); ++i) CHECK(ask({prompts[i]}, {i}, 5, 1)[0] == together[i]);
}

}  // namespace
}  // namespace attnlab
