#include "experiment/run/worker_screen.h"

#include "catch.h"

namespace attnlab {
namespace {

TEST_CASE("texts of several workers share a line, each with its part") {
  CHECK(side_by_side({"abcdef"}, 4) == "abcd");
  CHECK(side_by_side({"abcdef", "ghi", "jklmno"}, 15) == "abc | ghi | jkl");
  CHECK(side_by_side({"a", "b"}, 80) == "a | b");
  const std::string whole = "[1/6] gqa: step 3/9, loss 0.0914, 2k tokens/s, ETA 6s";
  CHECK(side_by_side({whole, whole}, 55) == "[1/6] gqa: step 3/9 | [1/6] gqa: step 3/9");
  CHECK(side_by_side({}, 80).empty());
  CHECK(side_by_side({"a", "b"}, 2).empty());
}

TEST_CASE("what a worker says of itself is one line, which begins as no text does") {
  const std::string line = worker_line({.done = 12, .resumed = 3, .text = "[1/6] gqa seed 0: step 12/100"});
  CHECK(line ==
        "\x1e"
        "12 3 [1/6] gqa seed 0: step 12/100\n");
}

}  // namespace
}  // namespace attnlab
