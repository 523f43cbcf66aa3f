#include "compare/terminal_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "catch.h"

namespace attnlab {
namespace {

PlotAxes unit_axes() {
  const auto text = [](double value) { return fmt::format("{:g}", value); };
  return {.x_title = "step", .y_title = "nats", .x_text = text, .y_text = text};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

size_t characters(const std::string& text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

TEST_CASE("a rising line runs from the lower left to the upper right") {
  const TerminalStyle plain{.columns = 31, .unicode = false};
  const auto lines =
      lines_of(terminal_plot({{.name = "up", .points = {{0, 0}, {1, 1}}}}, unit_axes(), plain, 3));
  REQUIRE(lines.size() == 8);  // title, 3 rows, axis, places, title, legend
  CHECK(lines[0] == "nats");
  CHECK(lines[1] == "       1 |                .....");
  CHECK(lines[2] == "         |      ..........");
  CHECK(lines[3] == "       0 |A.....");
  CHECK(lines[4] == "         +---------------------");
  CHECK(lines[5] == "          0        0.5        1");
  CHECK(lines[6] == "          step");
  CHECK(lines[7] == "          A up");
}

TEST_CASE("braille dots have two columns and four rows a character") {
  const TerminalStyle style{.columns = 30};
  REQUIRE(plot_columns(style) == 20);
  // One dot in the last column and the lowest row: dot 8 of its character. The letter stands at the first
  // point.
  const auto lines = lines_of(
      terminal_plot({{.name = "x", .points = {{0, 1}, {0.5, std::nan("")}, {1, 0}}}}, unit_axes(), style, 1));
  CHECK(lines[1] == "       1 ┤A                  \u2880");
}

TEST_CASE("lines that coincide are both seen, by their letters") {
  const std::vector<std::pair<double, double>> points{{0, 0.5}, {0.25, 0.5}, {0.5, 0.5}, {0.75, 0.5}, {1, 0.5}};
  for (const bool unicode : {true, false}) {
    const std::string text = terminal_plot(
        {{.name = "one", .place = 0, .points = points}, {.name = "two", .place = 1, .points = points}},
        unit_axes(), {.columns = 60, .unicode = unicode});
    const std::string drawing = text.substr(0, text.find("one"));
    CHECK(std::count(drawing.begin(), drawing.end(), 'A') >= 1 + 1);  // and in the legend
    CHECK(std::count(drawing.begin(), drawing.end(), 'B') >= 1);
  }
}

TEST_CASE("values outside of the axis are cut off, however far away") {
  const std::string text =
      terminal_plot({{.name = "far", .points = {{0, 1e12}, {0.5, 0.5}, {1, -1e300}}}}, unit_axes(), {}, 8);
  for (const auto& line : lines_of(text)) CHECK(characters(line) <= 80);
}

TEST_CASE("no line is wider than the terminal, and without colours there is no escape") {
  std::vector<PlotLine> lines;
  for (size_t i = 0; i < 9; ++i)
    lines.push_back({.name = fmt::format("a_long_name_of_an_arm_{}", i),
                     .place = i,
                     .points = {{0, 0.1 * static_cast<double>(i)}, {1, 0.5}}});
  for (const int columns : {30, 80, 200}) {
    const std::string text = terminal_plot(lines, unit_axes(), {.columns = columns, .unicode = true});
    CHECK(text.find('\033') == std::string::npos);
    for (const auto& line : lines_of(text))
      CHECK(characters(line) <= static_cast<size_t>(std::max(columns, 40)));
    CHECK(terminal_plot(lines, unit_axes(), {.columns = columns, .colour = true}).find('\033') !=
          std::string::npos);
  }
}

TEST_CASE("one point and a flat line have a drawing") {
  PlotAxes axes = unit_axes();
  axes.x_high = axes.x_low = 3;
  axes.y_high = axes.y_low = 2;
  CHECK_THAT(terminal_plot({{.name = "p", .points = {{3, 2}}}}, axes, {}), ContainsSubstring("A"));
  CHECK(terminal_plot({}, axes, {}).empty());
  // Points of one place and value, as of arms that were evaluated once, stand side by side.
  const std::vector<std::pair<double, double>> point{{3, 2}};
  CHECK_THAT(terminal_plot({{.name = "p", .place = 0, .points = point},
                            {.name = "q", .place = 1, .points = point},
                            {.name = "r", .place = 2, .points = point}},
                           axes, {}),
             ContainsSubstring("ABC"));
}

class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    const char* before = std::getenv(name);
    if (before) before_ = before;
    value ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Variable() { before_.empty() ? unsetenv(name_) : setenv(name_, before_.c_str(), 1); }

 private:
  const char* name_;
  std::string before_;
};

TEST_CASE("the locale decides on Unicode, and what is no terminal has no colours") {
  const Variable all("LC_ALL", nullptr), type("LC_CTYPE", nullptr), columns("COLUMNS", "123");
  FILE* file = std::tmpfile();
  {
    const Variable lang("LANG", "en_GB.UTF-8");
    CHECK(terminal_style(fileno(file)).unicode);
    CHECK(terminal_style(fileno(file)).columns == 123);
    CHECK_FALSE(terminal_style(fileno(file)).colour);
    const Variable stronger("LC_ALL", "C");
    CHECK_FALSE(terminal_style(fileno(file)).unicode);
  }
  const Variable lang("LANG", "C.utf8");
  CHECK(terminal_style(fileno(file)).unicode);
  std::fclose(file);
}

}  // namespace
}  // namespace attnlab
