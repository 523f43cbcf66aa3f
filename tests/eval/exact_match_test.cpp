#include "eval/exact_match.h"

#include <ATen/autocast_mode.h>
#include <torch/optim/adam.h>

#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "catch.h"
#include "data/batch.h"
#include "model/generate.h"
#include "model/loss.h"
#include "support.h"

namespace attnlab {
namespace {

using test::byte_config;
using test::byte_tokenizer;
using test::lively_weights;
using test::make_decoder;
using test::ragged_problems;

std::shared_ptr<Decoder> untrained(const VariantConfig& variant = Gqa::Config{}) {
  return make_decoder(byte_config(), lively_weights(byte_config()), variant);
}

// A model that has learnt the seven problems by heart: it answers with their very text, then eos.
Decoder& taught() {
  static const std::shared_ptr<Decoder> decoder = [] {
    auto pupil = untrained(MlaIdentity::Config{});
    const auto batch =
        sequential_batches(test::ExampleList(ragged_problems()), *byte_tokenizer(),
                           {.batch_size = 7, .bos_id = test::bos_id, .eos_id = test::eos_id, .pad_id = 0})
            .at(0);
    const auto input = make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns, torch::kCPU);
    torch::optim::Adam optimizer(pupil->parameters(), torch::optim::AdamOptions(5e-3));
    double loss = 1;
    for (int i = 0; i < 1500 && loss > 0.01; ++i) {
      optimizer.zero_grad();
      const auto mean = summed_loss(*pupil, input) / static_cast<double>(batch.loss_tokens);
      mean.backward();
      optimizer.step();
      loss = mean.item<double>();
    }
    REQUIRE(loss <= 0.01);  // the total over a hundred tokens is near 1: every token is the likeliest
    return pupil;
  }();
  return *decoder;
}

ExactMatchOptions options(int64_t batch_size) {
  return {.max_new_tokens = 30, .batch_size = batch_size, .bos_id = test::bos_id, .eos_id = test::eos_id};
}

std::vector<std::string> outputs(const std::vector<Answered>& answers) {
  std::vector<std::string> out;
  for (const auto& answer : answers) out.push_back(answer.output);
  return out;
}

TEST_CASE("answers come in the problems' order, end at eos, are cut out and scored") {
  auto problems = ragged_problems();
  problems[2].gold = "26";
  problems[6].gold = "";
  const auto answers = answer_problems(taught(), *byte_tokenizer(), problems, options(3));
  REQUIRE(answers.size() == problems.size());
  const std::vector<std::string> extracted{"7", "6", "25", "0", "0", "1200", "8"};
  const std::vector<bool> correct{true, true, false, true, true, true, false};
  for (size_t i = 0; i < problems.size(); ++i) {
    INFO(problems[i].prompt);
    CHECK(answers[i].output == problems[i].answer);
    CHECK(answers[i].extracted == extracted[i]);
    CHECK(answers[i].correct == correct[i]);
  }
}

TEST_CASE("an answer that does not get to its number counts as wrong") {
  auto short_options = options(7);
  short_options.max_new_tokens = 5;
  const auto answers = answer_problems(taught(), *byte_tokenizer(), ragged_problems(), short_options);
  for (size_t i = 0; i < answers.size(); ++i) {
    CHECK(answers[i].output == ragged_problems()[i].answer.substr(0, 5));
    CHECK(answers[i].extracted.empty());
    CHECK_FALSE(answers[i].correct);
  }
}

TEST_CASE("batches give each problem what it gets alone, with and without bos") {
  const auto tokenizer = byte_tokenizer();
  auto problems = ragged_problems();
  problems.push_back({.prompt = "", .answer = "", .gold = "1"});
  for (const auto& name : variant_names_for(byte_config().attention_shape())) {
    const auto decoder = untrained(*variant_defaults(name));
    std::vector<std::string> with_bos;
    for (const bool bos : {true, false}) {
      INFO(name << (bos ? ", bos" : ", no bos"));
      std::vector<std::string> alone;
      for (const auto& problem : problems) {
        std::vector<int64_t> prompt = tokenizer->encode(problem.prompt);
        if (bos) prompt.insert(prompt.begin(), test::bos_id);
        if (prompt.empty()) prompt = {test::eos_id};
        alone.push_back(tokenizer->decode(
            generate(*decoder, {prompt}, {.max_new_tokens = 30, .stop_tokens = {test::eos_id}})[0]));
      }
      auto how = options(3);
      if (!bos) how.bos_id.reset();
      CHECK(outputs(answer_problems(*decoder, *tokenizer, problems, how)) == alone);
      how.batch_size = 100;
      CHECK(outputs(answer_problems(*decoder, *tokenizer, problems, how)) == alone);
      if (bos) with_bos = alone;
      if (!bos) CHECK(alone != with_bos);
    }
  }
}

TEST_CASE(
    "problems without a context are refused where a cache acts behind contexts, and those with one are asked") {
  auto how = options(3);
  how.cache.behind_context = true;
  CHECK_THROWS_WITH(answer_problems(taught(), *byte_tokenizer(), ragged_problems(), how),
                    ContainsSubstring("eval.cache.behind: found context"));
  auto problems = ragged_problems();
  for (auto& problem : problems) problem.context_bytes = 1;
  std::erase_if(problems, [](const Example& problem) { return problem.prompt.size() < 2; });
  const auto whole = outputs(answer_problems(taught(), *byte_tokenizer(), problems, options(3)));
  CHECK(outputs(answer_problems(taught(), *byte_tokenizer(), problems, how)) == whole);  // nothing is dropped
}

TEST_CASE("progress counts up to the number of problems") {
  std::vector<int64_t> heard;
  const auto listen = [&](int64_t done) { heard.push_back(done); };
  const auto decoder = untrained();
  auto how = options(3);
  how.max_new_tokens = 2;
  answer_problems(*decoder, *byte_tokenizer(), ragged_problems(), how, listen);
  CHECK(heard == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7});
  heard.clear();
  CHECK(answer_problems(*decoder, *byte_tokenizer(), {}, how, listen).empty());
  CHECK(heard.empty());
}

TEST_CASE("progress may stop the evaluation, which leaves nothing switched on") {
  struct Stop {};
  const auto decoder = untrained();
  auto how = options(2);
  how.max_new_tokens = 2;
  how.precision = Precision::bf16_mixed;
  int calls = 0;
  const auto stop = [&](int64_t) {
    CHECK(at::autocast::is_autocast_enabled(at::kCPU));
    if (++calls == 2) throw Stop{};
  };
  CHECK_THROWS_AS(answer_problems(*decoder, *byte_tokenizer(), ragged_problems(), how, stop), Stop);
  CHECK(calls == 2);
  CHECK(torch::GradMode::is_enabled());
  CHECK_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  for (const auto& parameter : decoder->parameters()) CHECK_FALSE(parameter.grad().defined());
}

}  // namespace
}  // namespace attnlab
