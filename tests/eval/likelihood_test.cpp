#include "eval/likelihood.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "attention/gqa.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder_weights.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

std::vector<ScoredSequence> ragged_sequences(int64_t vocab_size) {
  std::vector<ScoredSequence> out;
  for (int64_t i = 0; i < 9; ++i) {
    ScoredSequence sequence{.first = 1 + i % 3};
    for (int64_t t = 0; t < 4 + 5 * i % 11; ++t) sequence.ids.push_back((7 * i + 3 * t * t) % vocab_size);
    out.push_back(sequence);
  }
  return out;
}

// One position after the other, in double.
Likelihood naive(Decoder& decoder, const ScoredSequence& sequence) {
  const torch::NoGradGuard no_grad;
  Likelihood out;
  for (auto i = static_cast<size_t>(sequence.first); i < sequence.ids.size(); ++i) {
    const std::vector<int64_t> before(sequence.ids.begin(),
                                      sequence.ids.begin() + static_cast<std::ptrdiff_t>(i));
    const auto logits = decoder.logits(decoder.hidden(torch::tensor(before).unsqueeze(0))[0][-1]);
    const auto logs = torch::log_softmax(logits.to(torch::kFloat64), -1);
    out.log_likelihood += logs[sequence.ids[i]].item<double>();
    out.greedy &= logs.argmax().item<int64_t>() == sequence.ids[i];
  }
  return out;
}

TEST_CASE("likelihoods are those of one position after the other, whatever the batches") {
  const auto config = test::small_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), MlaOrthogonal::Config{});
  const auto sequences = ragged_sequences(config.vocab_size);
  for (const int64_t tokens : {1, 20, 10000}) {
    std::vector<int64_t> heard;
    const auto found = log_likelihoods(*decoder, sequences, {.batch_tokens = tokens},
                                       [&](int64_t finished) { heard.push_back(finished); });
    REQUIRE(found.size() == sequences.size());
    CHECK(heard.back() == 9);
    for (size_t i = 0; i < found.size(); ++i) {
      const auto wanted = naive(*decoder, sequences[i]);
      // Logits of size 10 over two layers in float32.
      CHECK(found[i].log_likelihood == Approx(wanted.log_likelihood).margin(14 * 2e-5));
      CHECK(found[i].greedy == wanted.greedy);
    }
  }
}

TEST_CASE("behind a cache that rounds, likelihoods tell each token, so that one can stop between two") {
  const auto config = test::small_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
  ScoredSequence sequence{.first = 2};
  for (int64_t t = 0; t < 12; ++t) sequence.ids.push_back(5 * t % config.vocab_size);
  const LikelihoodOptions options{.cache = make_cache_plan({.storage = {.name = CacheStorageName::int8}})};
  std::vector<int64_t> heard;
  log_likelihoods(*decoder, {sequence}, options, [&](int64_t finished) { heard.push_back(finished); });
  std::vector<int64_t> expected(10, 0);
  expected.push_back(1);
  CHECK(heard == expected);
  struct Stop {};
  int told = 0;
  CHECK_THROWS_AS(log_likelihoods(*decoder, {sequence}, options,
                                  [&](int64_t) {
                                    if (++told == 3) throw Stop{};
                                  }),
                  Stop);
}

TEST_CASE("what a model says greedily is greedy, and one other token is not") {
  const auto config = test::small_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
  ScoredSequence said{.ids = {5, 9}, .first = 2};
  for (int i = 0; i < 4; ++i) {
    const torch::NoGradGuard no_grad;
    const auto logits = decoder->logits(decoder->hidden(torch::tensor(said.ids).unsqueeze(0))[0][-1]);
    said.ids.push_back(logits.argmax().item<int64_t>());
  }
  ScoredSequence other = said;
  other.ids[4] = (other.ids[4] + 1) % config.vocab_size;
  const auto found = log_likelihoods(*decoder, {said, other}, {});
  CHECK(found[0].greedy);
  CHECK_FALSE(found[1].greedy);
}

TEST_CASE("likelihoods of contexts and continuations agree with lm-evaluation-harness") {
  const auto folder = test::shared_dir() / "fixtures" / "eval";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no ../shared/fixtures/eval");
  const auto fixture = nlohmann::json::parse(std::ifstream(folder / "mc_scoring.json"));
  const auto decoder = load_decoder(Checkpoint::open(folder / "tiny_llama"), torch::kFloat32, torch::kCPU);
  std::vector<ScoredSequence> sequences;
  for (const auto& pair : fixture.at("pairs")) {
    auto ids = pair.at("context").get<std::vector<int64_t>>();
    const auto continuation = pair.at("continuation").get<std::vector<int64_t>>();
    ids.insert(ids.end(), continuation.begin(), continuation.end());
    if (ids.size() > 257) ids.erase(ids.begin(), ids.end() - 257);
    const auto first = static_cast<int64_t>(ids.size() - std::min(continuation.size(), ids.size() - 1));
    sequences.push_back({std::move(ids), first});
  }
  const auto found = log_likelihoods(*decoder, sequences, {.batch_tokens = 600});
  const double limit = 2 * fixture.at("worst_float32_error").get<double>();
  for (size_t i = 0; i < found.size(); ++i) {
    const auto& pair = fixture.at("pairs")[i];
    INFO("pair " << i << ", " << pair.at("kind"));
    CHECK(found[i].log_likelihood == Approx(pair.at("loglikelihood_float64").get<double>()).margin(limit));
    CHECK(found[i].greedy == pair.at("is_greedy").get<bool>());
  }
}

}  // namespace
}  // namespace attnlab
