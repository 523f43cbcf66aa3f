#include "style.h"

#include <set>

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
  CHECK(style::key_shape({"a", "b", "c"}).rows == 3);
  CHECK(style::key_shape({"a", "b", "c", "d"}).rows == 2);
  CHECK(style::key_shape({"a", "b", "c", "d", "e"}).rows == 3);
  CHECK(style::key_shape({"a", "b", "c", "a_name_that_is_much_too_long"}).rows == 4);
  // Many: two columns, in smaller letters where a name is long.
  std::vector<std::string> many(15, "gated_linear_hybrid");
  CHECK(style::key_shape(many).rows == 8);
  CHECK(style::key_shape(many).points < style::small_font_pt);
  many.assign(15, "gqa");
  CHECK(style::key_shape(many).points == style::small_font_pt);
}

TEST_CASE("names are broken behind underscores too, and long parts stay whole") {
  using Lines = std::vector<std::string>;
  CHECK(style::broken("word_problems", 13) == Lines{"word_problems"});
  CHECK(style::broken("word_problems", 10) == Lines{"word_", "problems"});
  CHECK(style::broken("250 problems", 12) == Lines{"250 problems"});
  CHECK(style::broken("250 problems", 10) == Lines{"250", "problems"});
  CHECK(style::broken("gsm8k, answers", 10) == Lines{"gsm8k,", "answers"});
  CHECK(style::broken("long", 2) == Lines{"long"});
}

TEST_CASE("tics stand at round distances, no more than asked for") {
  CHECK(style::tic_step(-0.055, 0.045, 5) == 0.02);  // -0.04 to 0.04
  CHECK(style::tic_step(-0.065, 0.045, 5) == 0.05);
  CHECK(style::tic_step(0, 100, 5) == 50);  // 0, 20, ... 100 would be six
  CHECK(style::tic_step(-2.4, 2.4, 5) == 1);
}

TEST_CASE("14 arms differ in colour, in dash and in symbol") {
  std::set<std::string> points, lines, boxes, colours, dashes;
  const auto without_width = [](const std::string& line) {
    return line.substr(0, line.find(" lw ")) + line.substr(line.find(" dt "));
  };
  for (size_t arm = 0; arm < 14; ++arm) {
    const std::string mark = style::mark(arm);
    points.insert(mark.substr(0, mark.find(" ps ")));
    lines.insert(without_width(style::line(arm)));
    const std::string line = without_width(style::line(arm));
    colours.insert(line.substr(0, line.find(" dt ")));
    dashes.insert(line.substr(line.find(" dt ")));
    boxes.insert(style::box(arm));
  }
  CHECK(points.size() == 14);
  CHECK(lines.size() == 14);
  CHECK(boxes.size() == 14);
  CHECK(colours.size() == 14);
  CHECK(dashes.size() == 14);
}

TEST_CASE("bands are lighter where there are many") {
  CHECK_THAT(style::band(0), ContainsSubstring("solid 0.18"));
  CHECK_THAT(style::band(0, 5), ContainsSubstring("solid 0.072"));
  CHECK_THAT(style::band(0, 14), ContainsSubstring("solid 0.05"));
}
