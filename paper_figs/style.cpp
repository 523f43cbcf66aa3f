#include "style.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace attnlab::style {
namespace {

struct Look {
  const char* colour;
  const char* dash;
  int point;         // gnuplot's number of the symbol
  const char* fill;  // of boxes; light, so that error bars are seen on it
};

// Colour, dash and symbol belong to one arm each.
constexpr std::array<Look, 14> looks{{
    {"#000000", "solid", 7, "solid 0.3"},              // black: a disc
    {"#D55E00", "(6,2.5)", 5, "pattern 4"},            // vermilion: a square
    {"#0072B2", "(3,1.5)", 9, "pattern 5"},            // blue: a triangle
    {"#009E73", "(9,2.5,1.5,2.5)", 13, "pattern 1"},   // bluish green: a diamond
    {"#CC79A7", "(4,4)", 11, "pattern 2"},             // reddish purple: a triangle on its tip
    {"#E69F00", "(12,3)", 4, "pattern 6"},             // orange: an open square
    {"#56B4E9", "(6,2,1.5,2,1.5,2)", 6, "pattern 7"},  // sky blue: a circle
    {"#882255", "(2,2)", 8, "empty"},                  // wine: an open triangle
    {"#332288", "(12,2,2,2)", 12, "solid 0.3"},        // indigo: an open diamond
    {"#999933", "(16,2)", 10, "solid 0.6"},            // olive: an open triangle on its tip
    {"#117733", "(4,2)", 15, "solid 0.15"},            // green: a pentagon
    {"#AA4499", "(8,2,3,2)", 2, "solid 0.8"},          // purple: a cross
    {"#661100", "(2,1,2,4)", 14, "pattern 4"},         // brown: an open pentagon
    {"#88CCEE", "(1,1.2)", 3, "solid 0.45"},           // pale blue: a star
}};

const Look& look_of(size_t arm) { return looks[arm % looks.size()]; }
double width_of(size_t arm) { return std::max(0.9, 1.7 - 0.25 * static_cast<double>(arm)); }

// The smallest of 1, 2, 5, 10, 20, … (and their tenths, …) that is not below `least`.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least) return factor * power;
  return 10 * power;
}

Page& the_page() {
  static Page page;
  return page;
}

constexpr double layout_font_pt = 7;

// Characters that fit where so many fit in a column of 3.4 inches.
size_t fitting(size_t characters) {
  return static_cast<size_t>(static_cast<double>(characters) * layout_width_in() / 3.4);
}

}  // namespace

void set_page(const Page& page) { the_page() = page; }
const Page& page() { return the_page(); }
double scale() { return page().font_pt / layout_font_pt; }
double layout_width_in() { return page().width_in / scale(); }
double left_margin() { return 0.205 * 3.4 / layout_width_in(); }
std::string label_of(const std::string& text) {
  const auto found = page().labels.find(text);
  return found == page().labels.end() ? text : found->second;
}

std::string line(size_t arm) {
  const Look& look = look_of(arm);
  return fmt::format("lc rgb '{}' lw {} dt {}", look.colour, width_of(arm), look.dash);
}

std::string line_and_point(size_t arm) {
  const bool open = look_of(arm).point % 2 == 0;  // whose inside must be seen
  return fmt::format("{} pt {} ps {}", line(arm), look_of(arm).point, open ? 0.55 : 0.4);
}

std::string mark(size_t arm) {
  const Look& look = look_of(arm);
  return fmt::format("pt {} ps 0.5 lw 1 lc rgb '{}'", look.point, look.colour);
}

std::string arrow(size_t arm) { return fmt::format("lc rgb '{}' lw 0.9 dt solid", look_of(arm).colour); }

std::string large_mark(size_t arm) {
  const Look& look = look_of(arm);
  return fmt::format("pt {} ps 0.8 lw 1 lc rgb '{}'", look.point, look.colour);
}

std::string bar(size_t arm, size_t above) {
  const double over = static_cast<double>(above);
  return fmt::format("with vectors heads nofilled size graph {:.3f},90 lc rgb '{}' lw {:.2f} dt solid",
                     0.009 + 0.004 * over, look_of(arm).colour, 0.8 + 0.2 * over);
}

std::string band(size_t arm, size_t bands) {
  const double strength = std::clamp(0.36 / static_cast<double>(bands), 0.05, 0.18);
  return fmt::format("lc rgb '{}' fs transparent solid {:.3g} noborder", look_of(arm).colour, strength);
}

std::string box(size_t arm) {
  return fmt::format("lc rgb '{0}' lw 0.8 fs {1} border lc rgb '{0}'", look_of(arm).colour, look_of(arm).fill);
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : label_of(text)) {
    if (c == '\'') out += '\'';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

std::string quoted_lines(const std::string& text) {
  std::string out = "\"";
  for (const char c : label_of(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out + '"';
}

double tic_step(double low, double high, int most) {
  double step = round_step((high - low) / (most + 1));
  while (std::floor(high / step) - std::ceil(low / step) + 1 > most) step = round_step(1.01 * step);
  return step;
}

std::vector<std::string> broken(const std::string& text, size_t most) {
  std::vector<std::string> lines{""};
  std::string part;
  const auto put = [&](bool space) {
    if (!lines.back().empty() && lines.back().size() + part.size() > most) lines.emplace_back();
    lines.back() += part + (space ? " " : "");
    part.clear();
  };
  for (const char c : text) {
    if (c != ' ') part += c;
    if (c == ' ' || c == '_') put(c == ' ');
  }
  put(false);
  for (std::string& line : lines)
    if (!line.empty() && line.back() == ' ') line.pop_back();
  return lines;
}

std::vector<std::string> wrapped(const std::string& text, size_t most) {
  std::vector<std::string> lines;
  std::string rest = text;
  while (rest.size() > most) {
    // A break between parts, unless it leaves most of the line empty.
    size_t space = rest.rfind("; ", most - 1);
    if (space == std::string::npos || space < most / 3)
      space = rest.rfind(' ', most);
    else
      ++space;
    if (space == std::string::npos || space == 0) break;
    lines.push_back(rest.substr(0, space));
    rest.erase(0, space + 1);
  }
  lines.push_back(rest);
  return lines;
}

KeyShape key_shape(const std::vector<std::string>& names) {
  constexpr size_t fits_twice = 18, most_in_a_column = 7;
  size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, label_of(name).size());
  const size_t half = (names.size() + 1) / 2;
  if (names.size() > 3 && longest <= fits_twice) return {.rows = half};
  if (names.size() <= most_in_a_column) return {.rows = names.size()};
  return {.rows = half,
          .points = small_font_pt * static_cast<double>(fits_twice) / static_cast<double>(longest)};
}

Frame frame(std::string& script, const std::string& title, const std::string& caption, const KeyShape& key,
            double body_in, double axis_in) {
  const double row_in = 0.13;
  std::vector<std::string> titles, captions;
  if (page().titles) {
    titles = wrapped(title, fitting(42));
    captions = wrapped(caption, fitting(56));
  }
  const double title_in = 0.145;
  const double head_in =
      0.10 + title_in * static_cast<double>(titles.size()) + row_in * static_cast<double>(captions.size());
  const double foot_in = axis_in + row_in * static_cast<double>(key.rows) + 0.03;
  Frame made{.height_in = head_in + body_in + foot_in, .words = title + "\n" + caption + "\n"};
  made.top = 1 - head_in / made.height_in;
  made.bottom = foot_in / made.height_in;
  double down_in = 0.11;
  int number = 101;
  const auto write = [&](const std::string& text, double points, double height_in) {
    script += fmt::format("set label {} {} at screen 0.5, screen {:.4f} center font '{},{}'\n", number++,
                          quoted(text), 1 - down_in / made.height_in, font, points);
    down_in += height_in;
  };
  for (const std::string& line : titles) write(line, font_pt + 1, title_in);
  for (const std::string& line : captions) write(line, small_font_pt, row_in);
  script += fmt::format(
      "set lmargin at screen {:.4f}\nset rmargin at screen 0.97\n"
      "set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n"
      "set border 3 lw 0.6\nset tics nomirror out scale 0.5\nset grid ytics lc rgb '#d9d9d9' lw 0.4 dt solid\n"
      "set format '%g'\nset ytics font '{},{}'\nset xtics font '{},{}' offset 0,0.3\n"
      "set key at screen 0.5, screen {:.4f} center bottom vertical maxrows {} Left reverse samplen 3 "
      "spacing 1.0 width 0 font '{},{}'\n",
      left_margin(), made.top, made.bottom, font, small_font_pt, font, small_font_pt, 0.03 / made.height_in,
      key.rows, font, key.points);
  return made;
}

std::string x_name(const std::string& name) {
  return fmt::format("set xlabel {} offset 0,0.95\n", quoted(name));
}

double from_bottom(const Frame& frame, double inches) { return inches / frame.height_in; }

std::string y_name(int number, const std::string& name, double middle) {
  const double points = label_of(name).size() > 13 ? small_font_pt : font_pt;  // so that it ends with the axis
  return fmt::format("set label {} {} at screen 0.025, screen {:.4f} center rotate by 90 font '{},{}'\n",
                     number, quoted(name), middle, font, points);
}

std::string y_axis(int number, const std::string& name, double middle, double low, double high, int tics) {
  double margin = 0.05 * (high - low);
  if (!(margin > 0)) margin = std::max(1e-9, 0.01 * std::abs(low));
  return fmt::format("set yrange [{}:{}]\nset ytics {} format '%g'\n", low - margin, high + margin,
                     round_step((high - low + 2 * margin) / tics)) +
         y_name(number, name, middle);
}

}  // namespace attnlab::style
