#include "tasks/windows.h"

#include <cmath>

#include "support.h"
#include "tasks/perplexity.h"

namespace attnlab {
namespace {

using Windows = std::vector<Window>;

TEST_CASE("rolling windows score every id once and fill the last input") {
  CHECK(rolling_windows(10, 4) == Windows{{-1, 0, 4}, {3, 4, 8}, {5, 8, 10}});
  CHECK(rolling_windows(8, 4) == Windows{{-1, 0, 4}, {3, 4, 8}});
  CHECK(rolling_windows(3, 4) == Windows{{-1, 0, 3}});
  CHECK(rolling_windows(5, 4) == Windows{{-1, 0, 4}, {0, 4, 5}});
  CHECK(rolling_windows(0, 4).empty());
  for (int64_t n = 1; n < 40; ++n)
    for (int64_t length = 1; length < 9; ++length) {
      int64_t next = 0;
      for (const Window& window : rolling_windows(n, length)) {
        CHECK(window.first_target == next);
        CHECK(window.begin < window.first_target);
        const int64_t input = window.end - 1 - window.begin;
        CHECK(input == (n < length ? n : length));
        next = window.end;
      }
      CHECK(next == n);
    }
}

TEST_CASE("plain windows lose their first id and may lose the tail") {
  CHECK(plain_windows(10, 4, Tail::dropped) == Windows{{0, 1, 4}, {4, 5, 8}});
  CHECK(plain_windows(10, 4, Tail::scored) == Windows{{0, 1, 4}, {4, 5, 8}, {8, 9, 10}});
  CHECK(plain_windows(9, 4, Tail::scored).size() == 2);  // a tail of one id predicts nothing
  CHECK(plain_windows(3, 4, Tail::dropped).empty());
}

TEST_CASE("perplexities weigh texts by their length") {
  const TextLikelihood texts[] = {text_likelihood(-6, "a b c"), text_likelihood(-2, "é")};
  CHECK(texts[1].bytes == 2);
  CHECK(word_perplexity(texts) == Approx(std::exp(8.0 / 4)));
  CHECK(byte_perplexity(texts) == Approx(std::exp(8.0 / 7)));
  CHECK(bits_per_byte(texts) == Approx(8.0 / 7 / std::log(2.0)));
  CHECK(token_perplexity(-8, 4) == Approx(std::exp(2.0)));
  CHECK(std::isnan(word_perplexity({})));
}

TEST_CASE("windows and perplexities are those of lm_eval") {
  if (!test::all_there({test::fixture("mc_scoring.json")})) SKIP_TEST("no mc_scoring.json");
  const auto vectors = test::read_json(test::fixture("mc_scoring.json"));
  const auto& expected = vectors["perplexity"];
  const int64_t n = std::ssize(expected["sequence"]), length = expected["window"];
  const auto rolling = rolling_windows(n, length);
  const auto& windows = expected["rolling"]["windows"];
  REQUIRE(rolling.size() == windows.size());
  double sum = 0;
  for (size_t i = 0; i < rolling.size(); ++i) {
    CHECK(rolling[i].context() == windows[i]["context_tokens"]);
    CHECK(rolling[i].targets() == windows[i]["predicted_tokens"]);
    sum += windows[i]["loglikelihood_float64"].get<double>();
  }
  CHECK(token_perplexity(sum, n) == Approx(expected["rolling"]["token_perplexity_float64"].get<double>()));
  const auto plain = plain_windows(n, length, Tail::scored);
  const auto& chunks = expected["plain"]["chunks"];
  REQUIRE(plain.size() == chunks.size());
  CHECK(plain_windows(n, length, Tail::dropped).size() == chunks.size() - 1);
  double all = 0, full = 0;
  int64_t scored = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    CHECK(plain[i].targets() == chunks[i]["scored"]);
    full = all;
    all += chunks[i]["nll_sum"].get<double>();
    scored += plain[i].targets();
  }
  CHECK(token_perplexity(-all, scored) == Approx(expected["plain"]["perplexity_with_tail"].get<double>()));
  CHECK(token_perplexity(-full, scored - plain.back().targets()) ==
        Approx(expected["plain"]["perplexity_full_chunks"].get<double>()));
  std::vector<TextLikelihood> texts;
  for (const auto& row : vectors["documents"]["rows"]) {
    texts.push_back(text_likelihood(row["loglikelihood"], row["text"].get<std::string>()));
    CHECK(texts.back().words == row["words"]);
    CHECK(texts.back().bytes == row["bytes"]);
  }
  CHECK(word_perplexity(texts) == Approx(vectors["documents"]["word_perplexity"].get<double>()).epsilon(1e-9));
  CHECK(byte_perplexity(texts) == Approx(vectors["documents"]["byte_perplexity"].get<double>()).epsilon(1e-9));
  CHECK(bits_per_byte(texts) == Approx(vectors["documents"]["bits_per_byte"].get<double>()).epsilon(1e-9));
}

}  // namespace
}  // namespace attnlab
