// Multiple choice and perplexity against lm-evaluation-harness, on a tiny Llama.
#include "eval/text_scores.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "attention/gqa.h"
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder_weights.h"
#include "support.h"
#include "tasks/choice_score.h"

namespace attnlab {
namespace {

TEST_CASE("a choice that the model would say is the likeliest, and an empty context is the prefix") {
  const auto config = test::byte_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
  const auto tokenizer = test::byte_tokenizer();
  const TaskModel model{
      .decoder = *decoder, .tokenizer = *tokenizer, .prefix_id = test::eos_id, .eos_id = test::eos_id};
  TaskData data{.config = {.task = Task::piqa}};
  data.items = {choice_item("", {"a", "b", "c", "d", "e", "f"}, 0), choice_item("Go on", {"x", "yes"}, 1)};
  for (auto& item : data.items) item.contexts.resize(item.choices.size(), item.contexts[0]);
  const auto found = choice_likelihoods(model, data, 0, 2);
  REQUIRE(found.size() == 2);
  REQUIRE(found[0].log_likelihoods.size() == 6);
  // " a" behind the prefix, one position after the other.
  const torch::NoGradGuard no_grad;
  const std::vector<int64_t> ids{test::eos_id, 0, 'a' - 32};
  double sum = 0;
  for (size_t i = 1; i < ids.size(); ++i) {
    const std::vector<int64_t> before(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i));
    const auto logits = decoder->logits(decoder->hidden(torch::tensor(before).unsqueeze(0))[0][-1]);
    sum += torch::log_softmax(logits.to(torch::kFloat64), -1)[ids[i]].item<double>();
  }
  CHECK(found[0].log_likelihoods[0] == Approx(sum).margin(1e-4));
  CHECK(choice_likelihoods(model, data, 1, 2)[0].log_likelihoods[1] ==
        Approx(found[1].log_likelihoods[1]).margin(1e-4));
}

struct Tiny {
  std::filesystem::path folder = test::shared_dir() / "fixtures" / "eval";
  nlohmann::json fixture;
  std::shared_ptr<Decoder> decoder;
  std::optional<Tokenizer> tokenizer;

  bool there() const { return std::filesystem::exists(folder); }
  void load() {
    fixture = nlohmann::json::parse(std::ifstream(folder / "mc_scoring.json"));
    decoder = load_decoder(Checkpoint::open(folder / "tiny_llama"), torch::kFloat32, torch::kCPU);
    tokenizer = Tokenizer::load(folder / "tiny_llama");
  }
  TaskModel model() const {
    return {.decoder = *decoder,
            .tokenizer = *tokenizer,
            .prefix_id = fixture.at("prefix_token_id"),
            .eos_id = 2,
            .batch_tokens = 1024};
  }
};

TEST_CASE("multiple choice agrees with lm-evaluation-harness, from text to the chosen answer") {
  Tiny tiny;
  if (!tiny.there()) SKIP_TEST("no ../shared/fixtures/eval");
  tiny.load();
  TaskData data{.config = {.task = Task::piqa}};
  for (const auto& item : tiny.fixture.at("items")) {
    ChoiceItem made;
    made.continuations = item.at("continuations").get<std::vector<std::string>>();
    made.choices = item.at("choices").get<std::vector<std::string>>();
    made.contexts.assign(made.choices.size(), item.at("context").get<std::string>());
    made.gold = item.at("gold");
    data.items.push_back(made);
  }
  const auto found = choice_likelihoods(tiny.model(), data, 0, data.size());
  const double limit = 2 * tiny.fixture.at("worst_float32_error").get<double>();
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("item " << i);
    const auto& item = tiny.fixture.at("items")[i];
    const auto sums = item.at("loglikelihood").get<std::vector<double>>();
    for (size_t c = 0; c < sums.size(); ++c) {
      CHECK(found[i].log_likelihoods[c] == Approx(sums[c]).margin(limit));
      CHECK(found[i].greedy[c] == item.at("is_greedy")[c].get<bool>());
    }
    const Choice chosen = choose(found[i].log_likelihoods, data.items[i].choices);
    CHECK(chosen.by_sum == item.at("pred_acc").get<int64_t>());
    CHECK(chosen.by_characters == item.at("pred_acc_norm").get<int64_t>());
    CHECK(chosen.by_bytes == item.at("pred_acc_bytes").get<int64_t>());
  }
}

TEST_CASE("perplexities of documents agree with lm-evaluation-harness") {
  Tiny tiny;
  if (!tiny.there()) SKIP_TEST("no ../shared/fixtures/eval");
  tiny.load();
  const auto& documents = tiny.fixture.at("documents");
  std::vector<TextLikelihood> texts;
  for (const auto& row : documents.at("rows")) {
    texts.push_back(text_score(tiny.model(), row.at("text").get<std::string>()).rolling);
    // A window's error, for each window of 256 tokens.
    const double windows = std::ceil(row.at("tokens").get<double>() / 256);
    CHECK(texts.back().loglikelihood ==
          Approx(row.at("loglikelihood").get<double>())
              .margin(2 * windows * tiny.fixture.at("worst_float32_error").get<double>()));
    CHECK(texts.back().words == row.at("words").get<int64_t>());
    CHECK(texts.back().bytes == row.at("bytes").get<int64_t>());
  }
  CHECK(word_perplexity(texts) == Approx(documents.at("word_perplexity").get<double>()).epsilon(1e-5));
  CHECK(byte_perplexity(texts) == Approx(documents.at("byte_perplexity").get<double>()).epsilon(1e-6));
  CHECK(bits_per_byte(texts) == Approx(documents.at("bits_per_byte").get<double>()).epsilon(1e-6));
}

}  // namespace
}  // namespace attnlab
