// Byte-pair encoding against naive twins.
#include "text/bpe.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "catch.h"

using namespace attnlab::text;

namespace {

const std::string kMark = "▁";

// Tokens in the order of their ids and merges in the order of their ranks.
struct Small {
  std::vector<std::string> tokens;
  std::vector<std::pair<std::string, std::string>> merges;

  int32_t id(const std::string& token) const {
    return static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), token) - tokens.begin());
  }
  Bpe model() const {
    Vocabulary vocabulary;
    for (const std::string& token : tokens) vocabulary.emplace(token, id(token));
    Bpe out(std::move(vocabulary), {});
    int32_t rank = 0;
    for (const auto& [left, right] : merges) out.add_merge(id(left), id(right), {rank++, id(left + right)});
    return out;
  }
  // Merges the pair of the lowest rank, the leftmost of equals, until none is left.
  std::vector<int64_t> naive(std::vector<std::string> parts) const {
    for (;;) {
      size_t best = merges.size(), place = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = std::find(merges.begin(), merges.end(), std::pair(parts[i], parts[i + 1]));
        const auto rank = static_cast<size_t>(found - merges.begin());
        if (rank < best) best = rank, place = i;
      }
      if (best == merges.size()) break;
      parts[place] += parts[place + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
    std::vector<int64_t> ids;
    for (const std::string& part : parts) ids.push_back(id(part));
    return ids;
  }
};

void check_random_words(const Small& small, unsigned seed) {
  const Bpe model = small.model();
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> characters;
    std::string word;
    for (size_t n = random() % 24; n > 0; --n) {
      const std::string character = std::array<std::string, 5>{"a", "b", "c", kMark, kMark}[random() % 5];
      characters.push_back(character);
      word += character;
    }
    std::vector<int64_t> ids;
    model.encode(word, ids);
    INFO(word);
    REQUIRE(ids == small.naive(characters));
  }
}

}  // namespace

TEST_CASE("words cut at marks get the ids of the whole") {
  check_random_words(
      {.tokens = {"a", "b", "c", kMark, "ab", kMark + "a", "bc", kMark + kMark, "abc", "aa"},
       .merges = {{"b", "c"}, {kMark, kMark}, {"a", "b"}, {kMark, "a"}, {"ab", "c"}, {"a", "a"}}},
      1);
}

TEST_CASE("words are not cut where a token spans a mark") {
  const std::string spanning = "a" + kMark;
  check_random_words({.tokens = {"a", "b", "c", kMark, spanning, "ab", spanning + "b"},
                      .merges = {{"a", kMark}, {"a", "b"}, {spanning, "b"}}},
                     2);
}

TEST_CASE("the table of pairs holds what a map holds") {
  PairTable table;
  std::map<std::pair<int32_t, int32_t>, int32_t> twin;
  std::mt19937 random(4);
  for (int i = 0; i < 20000; ++i) {
    const auto left = static_cast<int32_t>(random() % 300), right = static_cast<int32_t>(random() % 300);
    table.set(left, right, {i, left});
    twin[{left, right}] = i;
  }
  for (int32_t left = 0; left < 300; ++left)
    for (int32_t right = 0; right < 300; ++right) {
      const Merge* found = table.find(left, right);
      const auto expected = twin.find({left, right});
      REQUIRE((found != nullptr) == (expected != twin.end()));
      if (found) REQUIRE((found->rank == expected->second && found->id == left));
    }
}
