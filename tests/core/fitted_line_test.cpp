#include "core/fitted_line.h"

#include "catch.h"

using namespace attnlab;

TEST_CASE("a line that is too long leaves out parts and cuts no number") {
  const std::string line = "a: step 3/30, loss 0.0914, 1.79k tokens/s, ETA 6s, all 7s";
  CHECK(fitted_line(line, 80) == line);
  CHECK(fitted_line(line, line.size() - 1) == "a: step 3/30, loss 0.0914, ETA 6s, all 7s");
  CHECK(fitted_line(line, 35) == "a: step 3/30, loss 0.0914, all 7s");
  CHECK(fitted_line(line, 25) == "a: step 3/30, all 7s");
  CHECK(fitted_line(line, 15) == "a: step 3/30");
  CHECK(fitted_line(line, 5) == "a: st");
  CHECK(fitted_line("", 5).empty());
}
