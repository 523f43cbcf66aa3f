#include "data/word_problems.h"

#include <map>
#include <regex>
#include <set>

#include "catch.h"
#include "core/files.h"

using namespace attnlab;

namespace {

// Left to right with * and / before + and -, in exact integers; fails the test if a division leaves a rest.
int64_t evaluate(const std::string& text) {
  int64_t sum = 0, term = 0, number = 0;
  char pending = '+', within = 0;
  const auto close_factor = [&] {
    if (within == '*') {
      term *= number;
    } else if (within == '/') {
      REQUIRE(number != 0);
      REQUIRE(term % number == 0);
      term /= number;
    } else {
      term = number;
    }
    number = 0;
  };
  for (const char c : text + "+") {
    if (c >= '0' && c <= '9') {
      number = number * 10 + (c - '0');
      continue;
    }
    close_factor();
    within = (c == '*' || c == '/') ? c : 0;
    if (within) continue;
    sum += pending == '-' ? -term : term;
    pending = c;
  }
  return sum;
}

std::string first_hundred() {
  std::string text;
  for (int64_t i = 0; i < 100; ++i) {
    const WordProblem problem = word_problem(0, Split::train, i, 1 + i % 5);
    text += problem.question + "\n" + problem.answer + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("the test's own evaluator knows precedence") {
  CHECK(evaluate("2+3*4-10/5") == 12);
  CHECK(evaluate("60*25/100") == 15);
}

TEST_CASE("every calculation of a word problem is right and the last one is the answer") {
  const std::regex mark(" ([0-9+*/ -]+) = \\$?<<([0-9+*/-]+)=([0-9]+)>>([0-9]+)");
  for (int64_t difficulty = 1; difficulty <= 5; ++difficulty) {
    for (int64_t i = 0; i < 2000; ++i) {
      const WordProblem problem = word_problem(3, Split::train, i, difficulty);
      INFO(problem.question << "\n" << problem.answer);
      int64_t steps = 0, last = -1;
      for (std::sregex_iterator it(problem.answer.begin(), problem.answer.end(), mark), end; it != end; ++it) {
        std::string spoken = (*it)[1];
        spoken.erase(std::remove(spoken.begin(), spoken.end(), ' '), spoken.end());
        REQUIRE(spoken == (*it)[2]);
        last = std::stoll((*it)[3]);
        REQUIRE(evaluate((*it)[2]) == last);
        REQUIRE((*it)[4] == (*it)[3]);
        ++steps;
      }
      REQUIRE(steps == problem.steps);
      REQUIRE(steps == std::count(problem.answer.begin(), problem.answer.end(), '\n'));
      REQUIRE(last == problem.gold);
      REQUIRE(problem.gold >= 0);
      const std::string tail = "\n#### " + std::to_string(problem.gold);
      REQUIRE(problem.answer.substr(problem.answer.size() - tail.size()) == tail);
      REQUIRE(problem.question.back() == '?');
      REQUIRE(problem.question.find_first_of("{}") == std::string::npos);
      REQUIRE(problem.answer.find_first_of("{}") == std::string::npos);
    }
  }
}

TEST_CASE("difficulty sets the number of steps and the size of numbers") {
  const std::map<int64_t, std::pair<int64_t, int64_t>> steps{
      {1, {1, 2}}, {2, {2, 2}}, {3, {2, 3}}, {4, {3, 4}}, {5, {4, 6}}};
  const std::map<int64_t, int64_t> largest{{1, 60}, {2, 120}, {3, 300}, {4, 1500}, {5, 9999}};
  for (const auto& [difficulty, range] : steps) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < 500; ++i) {
      const WordProblem problem = word_problem(0, Split::train, i, difficulty);
      seen.insert(problem.steps);
      REQUIRE(problem.gold <= largest.at(difficulty));
    }
    CHECK(*seen.begin() == range.first);
    CHECK(*seen.rbegin() == range.second);
  }
}

TEST_CASE("no noun stands behind a one") {
  for (int64_t i = 0; i < 5000; ++i) {
    const WordProblem problem = word_problem(1, Split::train, i, 1 + i % 5);
    INFO(problem.question);
    REQUIRE_FALSE(std::regex_search(problem.question, std::regex("(^| )1 [a-z]+s\\b")));
  }
}

TEST_CASE("stories are varied") {
  // Numbers and names taken out, there remain many different texts.
  std::set<std::string> shapes;
  for (int64_t i = 0; i < 3000; ++i) {
    const std::string question = word_problem(0, Split::train, i, 2).question;
    shapes.insert(std::regex_replace(question, std::regex("[0-9]+|\\b[A-Z][a-z]+\\b"), "_"));
  }
  CHECK(shapes.size() > 500);
}

TEST_CASE("no word problem lies in two splits, whatever the seed and difficulty") {
  std::map<std::string, Split> owner;
  std::map<Split, int64_t> counts;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    for (int64_t i = 0; i < 15000; ++i) {
      const std::string question = word_problem(static_cast<uint64_t>(i % 4), split, i / 4, 1 + i % 3).question;
      const auto [entry, is_new] = owner.emplace(question, split);
      REQUIRE(entry->second == split);
      counts[split] += is_new;
    }
  }
  CHECK(counts[Split::train] > 12000);
  CHECK(counts[Split::valid] > 2000);
  CHECK(counts[Split::test] > 2000);
}

TEST_CASE("a word problem is a pure function of its arguments") {
  CHECK(word_problem(5, Split::test, 7, 3).answer == word_problem(5, Split::test, 7, 3).answer);
  CHECK(word_problem(5, Split::test, 7, 3).question != word_problem(6, Split::test, 7, 3).question);
  CHECK(word_problem(5, Split::test, 7, 3).question != word_problem(5, Split::test, 8, 3).question);
}

TEST_CASE("the first hundred word problems are the ones that shipped models were trained on") {
  CHECK(sha256(first_hundred()) == "3d52ef3e2f11fa50345e10f1f0b28dfd89c849f999fb6b2b47e0301530606afc");
}
