#include "style.h"

#include "catch.h"

using namespace attnlab;

TEST_CASE("long captions are broken between their parts, else at spaces") {
  using Lines = std::vector<std::string>;
  CHECK(style::wrapped("short", 10) == Lines{"short"});
  CHECK(style::wrapped("n = 3 seeds; mean and range", 20) == Lines{"n = 3 seeds;", "mean and range"});
  CHECK(style::wrapped("n = 3; mean and range over seeds", 20) == Lines{"n = 3; mean and", "range over seeds"});
  CHECK(style::wrapped("unbroken_as_it_has_no_space", 10) == Lines{"unbroken_as_it_has_no_space"});
}

TEST_CASE("a key of many short names has two columns, one of few or long names has one") {
  CHECK(style::key_rows({"a", "b", "c"}) == 3);
  CHECK(style::key_rows({"a", "b", "c", "d"}) == 2);
  CHECK(style::key_rows({"a", "b", "c", "d", "e"}) == 3);
  CHECK(style::key_rows({"a", "b", "c", "a_name_that_is_much_too_long"}) == 4);
}

TEST_CASE("a logarithmic axis has tics at 1, 2 and 5 where it is short, and at powers of 10 where it is long") {
  CHECK_THAT(style::y_axis_log(3, "loss", 0.5, 0.1, 1),
             ContainsSubstring("'0.1' 0.1, '0.2' 0.2, '0.5' 0.5, '1' 1") && ContainsSubstring("'loss'"));
  const std::string wide = style::y_axis_log(3, "loss", 0.5, 0.001, 10);
  CHECK_THAT(wide, ContainsSubstring("'0.001' 0.001, '0.01' 0.01, '0.1' 0.1, '1' 1, '10' 10"));
}
