// Texts that show what a cache has lost.
#include "data/retrieval.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "catch.h"
#include "data/answers.h"
#include "data/dataset.h"

namespace attnlab::test {
namespace {

constexpr DataKind kKinds[] = {DataKind::passkey, DataKind::key_values, DataKind::variable_trace};

std::string text_of(const Retrieval& problem) { return problem.context + '\n' + problem.question; }

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST_CASE("a retrieval problem is a pure function of its arguments, and splits share none") {
  for (const DataKind kind : kKinds) {
    INFO(name_of(kind));
    std::map<std::string, Split> seen;
    for (const Split split : {Split::train, Split::valid, Split::test})
      for (const uint64_t seed : {0, 1})
        for (int64_t index = 0; index < 60; ++index) {
          const int64_t difficulty = 1 + index % 5;
          const auto problem = retrieval(kind, seed, split, index, difficulty, 40);
          CHECK(text_of(problem) == text_of(retrieval(kind, seed, split, index, difficulty, 40)));
          const auto [known, is_new] = seen.emplace(text_of(problem), split);
          CHECK((is_new || known->second == split));
        }
    CHECK(seen.size() > 300);
  }
}

TEST_CASE("the answer's numbers are the gold, by the rule for final answers") {
  for (const DataKind kind : kKinds)
    for (int64_t index = 0; index < 50; ++index) {
      const auto problem = retrieval(kind, 3, Split::train, index, 1 + index % 5, 60);
      CHECK(exact_match(extract_answer(problem.answer), problem.gold));
      CHECK_FALSE(exact_match(extract_answer("#### 1" + problem.gold), problem.gold));
    }
}

TEST_CASE("a pass key stands once, as deep as its difficulty says, in as many words as are wanted") {
  for (const int64_t words : {20, 200})
    for (int64_t difficulty = 1; difficulty <= 5; ++difficulty) {
      const auto problem = retrieval(DataKind::passkey, 0, Split::train, 7, difficulty, words);
      const size_t at = problem.context.find(problem.gold);
      REQUIRE(at != std::string::npos);
      CHECK(problem.context.find(problem.gold, at + 1) == std::string::npos);
      const double depth = static_cast<double>(at) / static_cast<double>(problem.context.size());
      CHECK(depth == Approx(static_cast<double>(difficulty - 1) / 4).margin(words == 20 ? 0.3 : 0.06));
      CHECK(std::abs(std::ssize(words_of(problem.context)) - words) <= 12);
    }
}

TEST_CASE("keys are different, and those that are asked for have the values of the answer, in order") {
  for (int64_t index = 0; index < 40; ++index) {
    const int64_t difficulty = 1 + index % 5;
    const auto problem = retrieval(DataKind::key_values, 0, Split::valid, index, difficulty, 80);
    std::map<std::string, std::string> pairs;
    std::istringstream lines(problem.context);
    for (std::string key, value; lines >> key >> value;) {
      CHECK(pairs.emplace(key.substr(0, key.size() - 1), value).second);
    }
    CHECK(pairs.size() == 40);
    std::string numbers;
    int64_t asked = 0;
    for (auto word : words_of(problem.question)) {
      std::erase_if(word, [](char c) { return c == ',' || c == '?'; });
      if (!pairs.contains(word)) continue;
      numbers += pairs[word];
      ++asked;
    }
    CHECK(asked == difficulty);
    CHECK(numbers == problem.gold);
  }
}

TEST_CASE("a variable's value is found by as many hops as its difficulty, along lines in order") {
  for (int64_t index = 0; index < 40; ++index) {
    const int64_t difficulty = 1 + index % 5;
    const auto problem = retrieval(DataKind::variable_trace, 0, Split::train, index, difficulty, 90);
    std::map<std::string, std::string> source;
    std::istringstream lines(problem.context);
    for (std::string name, equals, value; lines >> name >> equals >> value;) {
      CHECK((std::isdigit(value[0]) || source.contains(value)));  // what it reads stands before it
      CHECK(source.emplace(name, value).second);
    }
    std::string at = words_of(problem.question).back();
    at.pop_back();
    int64_t hops = 0;
    for (; source.contains(source[at]); ++hops) at = source[at];
    CHECK(hops == difficulty);
    CHECK(source[at] == problem.gold);
  }
}

TEST_CASE("retrieval kinds are data sets with gold answers whose prompts tell where the context ends") {
  for (const DataKind kind : kKinds)
    for (const auto format : {PromptTemplate::by_kind, chat_template(ChatFormat::chatml)}) {
      const DataConfig config{.kind = kind,
                              .difficulty_min = 2,
                              .difficulty_max = 4,
                              .words = 50,
                              .size = 20,
                              .heldout_size = 12,
                              .prompt_template = format};
      const auto heldout = open_dataset(config, Split::test);
      REQUIRE(heldout->size() == 12);
      for (int64_t i = 0; i < 12; ++i) {
        const Example example = heldout->get(i);
        const auto problem = retrieval(kind, 0, Split::test, i, 2 + i % 3, 50);
        CHECK(example.gold == problem.gold);
        CHECK(example.prompt.substr(0, example.context_bytes).ends_with(problem.context));
        CHECK(example.prompt.substr(example.context_bytes).find(problem.question) < 3);
      }
    }
}

}  // namespace
}  // namespace attnlab::test
