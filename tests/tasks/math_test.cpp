#include "support.h"
#include "tasks/boxed.h"
#include "tasks/math_equiv.h"
#include "tasks/score.h"

namespace attnlab {
namespace {

using nlohmann::json;

TEST_CASE("answers in plain notation") {
  CHECK(plain_math("\\dfrac12") == "\\frac{1}{2}");
  CHECK(plain_math(".5") == "\\frac{1}{2}");
  CHECK(plain_math("x = \\sqrt3") == "\\sqrt{3}");
  CHECK(plain_math("5 \\text{ cm}") == "5");
  CHECK(plain_math("90^\\circ") == "90");
  CHECK(plain_math("-3/4") == "\\frac{-3}{4}");
  CHECK(plain_math("03/4") == "03/4");
  CHECK(plain_math("1_0/4") == "1_0/4");
  CHECK(plain_math("-0/4") == "-0/4");
  CHECK(plain_math("αβ=5") == "5");  // two characters, not four bytes
  CHECK(plain_math("\\fracαβ") == "\\frac{α}{β}");
  CHECK(plain_math("\\frac1") == "\\frac1");
  for (const char* text : {"\\frac", "\\sqrt", "a/b", "1__0/4", "/2", "\\text{ a}\\text{ b}"})
    CHECK(plain_math(text) == std::nullopt);
  CHECK(math_equivalent("a/b", "a/b"));  // compared as they stand
  CHECK_FALSE(math_equivalent("a/b", "a /b"));
}

TEST_CASE("the last boxed answer") {
  CHECK(last_boxed("\\boxed{1} \\boxed{\\frac{1}{2}}.") == "\\boxed{\\frac{1}{2}}");
  CHECK(last_boxed("\\boxed{open") == std::nullopt);
  CHECK(inside_boxed("\\boxed{\\frac{1}{2}}") == "\\frac{1}{2}");
  CHECK(inside_boxed("\\boxed 5") == "5");
  CHECK(inside_boxed("\\fbox{5}") == std::nullopt);
  CHECK(inside_boxed("\\boxed{a\\boxed 5}") == std::nullopt);
}

TEST_CASE("MATH replies are read between dollars or from the box") {
  const std::vector<Problem> problems{{.id = "0", .gold = "\\frac{1}{2}"}};
  const std::vector<Reply> replies{{0, "It is $\\frac12$."}, {0, "So $x$ is \\boxed{0.5}."}, {0, "Nothing."}};
  const auto results = [&](Protocol protocol) {
    std::string text;
    for (const auto& scored : score(preset_of(Task::math, protocol), problems, replies, nullptr))
      text += scored.result + "; ";
    return text;
  };
  CHECK(results(Protocol::lm_eval) == "match; no match; no match; ");
  CHECK(results(Protocol::boxed) == "no answer; match; no answer; ");
}

TEST_CASE("MATH answers agree with the data set's own scorer") {
  if (!test::all_there({test::fixture("math_equiv.json")})) SKIP_TEST("no math_equiv.json");
  const json vectors = test::read_json(test::fixture("math_equiv.json"));
  const auto same = [](const std::optional<std::string>& found, const json& expected) {
    return expected.is_string() ? found == expected.get<std::string>() : !found.has_value();
  };
  REQUIRE(vectors["is_equiv"].size() > 80);
  for (const auto& row : vectors["is_equiv"]) {
    CAPTURE(row.dump());
    CHECK(math_equivalent(row["a"], row["b"]) == row["equal"]);
    CHECK(same(plain_math(row["a"]), row["stripped_a"]));
    CHECK(same(plain_math(row["b"]), row["stripped_b"]));
  }
  for (const auto& row : vectors["boxed"]) {
    CAPTURE(row.dump());
    const auto boxed = last_boxed(row["text"].get<std::string>());
    CHECK(same(boxed, row["last_boxed"]));
    if (boxed) CHECK(same(inside_boxed(*boxed), row["removed"]));
  }
  for (const auto& row : vectors["hendrycks_math"]) {
    CAPTURE(row.dump());
    const std::vector<Problem> problems{
        {.id = "0", .gold = *inside_boxed(*last_boxed(row["solution"].get<std::string>()))}};
    const auto scores = score(preset_of(Task::math, Protocol::lm_eval), problems, {{0, row["reply"]}}, nullptr);
    CHECK(scores[0].correct == (row["exact_match"] == 1));
  }
}

}  // namespace
}  // namespace attnlab
