#include "report/tables.h"

#include "catch.h"
#include "report/csv.h"
#include "report/facts.h"
#include "results/measurements.h"
#include "stats/intervals.h"

using namespace attnlab;
using namespace attnlab::report;

TEST_CASE("a table names its rows and columns and has a caption") {
  const Grid grid{.titles = {"arm", "loss", "verdict"},
                  .lines = {{.heading = "lr=1:"}, {.cells = {"mla <1>", "+0.5", "higher"}}}};
  const std::string markup = table_of(grid, "Losses").markup();
  CHECK_THAT(markup, ContainsSubstring("<caption>Losses</caption>"));
  CHECK_THAT(markup, ContainsSubstring("<th scope=\"col\">loss</th>"));
  CHECK_THAT(markup, ContainsSubstring("<th scope=\"row\">mla &lt;1&gt;</th>"));
  CHECK_THAT(markup, ContainsSubstring("colspan=\"3\" scope=\"colgroup\" class=\"group\">lr=1:</th>"));
}

TEST_CASE("numbers stand to the right and words to the left") {
  const Grid grid{.titles = {"arm", "loss", "verdict"}, .lines = {{.cells = {"mla", "+0.5", "higher"}}}};
  const std::string markup = table_of(grid, "Losses").markup();
  CHECK_THAT(markup, ContainsSubstring("<td>+0.5</td>"));
  CHECK_THAT(markup, ContainsSubstring("<td class=\"words\">higher</td>"));
  CHECK_THAT(markup, ContainsSubstring("<th scope=\"col\" class=\"words\">verdict</th>"));
}

TEST_CASE("a table of rows has their columns, texts first") {
  const Grid grid =
      grid_of(std::vector<DecodeRow>{{.context = 8192, .ms = 1.5, .ms_min = not_known, .form = "gqa"}});
  REQUIRE(grid.titles.size() == 15);
  CHECK(grid.titles[0] == "form");
  CHECK(grid.titles[4] == "context");
  CHECK(grid.lines[0].cells[0] == "gqa");
  CHECK(grid.lines[0].cells[4] == "8192");
  CHECK(grid.lines[0].cells[10] == "-");
}

TEST_CASE("a CSV with quoted fields is read, and lines that are left out are counted") {
  size_t left_out = 0;
  const Grid grid = read_csv("a,b\n\"x,\"\"y\"\"\nz\",1\n2\n3,4\n", 2, left_out);
  CHECK(grid.titles == std::vector<std::string>{"a", "b"});
  REQUIRE(grid.lines.size() == 2);
  CHECK(grid.lines[0].cells == std::vector<std::string>{"x,\"y\"\nz", "1"});
  CHECK(grid.lines[1].cells == std::vector<std::string>{"2", ""});
  CHECK(left_out == 1);
}

TEST_CASE("facts are told once, and long lists are cut") {
  CHECK(distinct({"b", "", "a", "b"}) == std::vector<std::string>{"b", "a"});
  CHECK(listed({"a", "b", "c"}, 2) == "a, b and 1 more");
  CHECK(listed({"a", "b"}, 2) == "a, b");
  CHECK(fact({{"x", std::string("1: a")}}, "x") == "1: a");
  CHECK(fact({}, "x").empty());
  CHECK(number(not_known) == "-");
  CHECK(count(1, "seed") == "1 seed");
}
