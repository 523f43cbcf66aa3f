// How all figures look: sizes, fonts, and each arm's colour, dash, point and pattern.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "run_set.h"

namespace attnlab::style {

// The page that figures are made for: one column of a two-column paper, unless a program says otherwise.
struct Page {
  double width_in = 3.4;
  double font_pt = 7;  // 5 to 12
  bool titles = true;  // title and caption in the picture; else in NAME.txt beside it
  std::map<std::string, std::string> labels = {};  // what stands for a text of the picture: "gqa" → "GQA"
};
// For all drawings from here on: a program sets it once, before it draws.
void set_page(const Page& page);
const Page& page();
// Layouts are made for a font of 7 points and drawn larger or smaller as a whole: the width that they then
// have.
double layout_width_in();
double scale();  // font_pt / 7
std::string label_of(const std::string& text);

inline constexpr const char* font = "DejaVu Sans";
inline constexpr double font_pt = 7;
inline constexpr double small_font_pt = 6;

// How ends of an interval are drawn from columns x, low, 0, high - low. (Gnuplot's own error bars blank out
// what lies below their middle.)
inline constexpr const char* end_bars = "with vectors heads nofilled size graph 0.009,90";

// Gnuplot options of a line, a point, an interval or a box, for the arm in this place of the config.
//
// Colours are Okabe and Ito's ("Color universal design", 2008), told apart by colour-blind readers, from the
// eighth arm on Tol's ("muted", 2021); dashes, points and patterns tell the arms apart in grey. Earlier arms
// are drawn first and wider, later ones narrower and dashed, so that curves which coincide are all seen. 14
// arms differ in colour, dash and symbol.
std::string line(size_t arm);
std::string line_and_point(size_t arm);
std::string mark(size_t arm);        // a point without a line
std::string large_mark(size_t arm);  // one that is told apart from others of its arm
std::string arrow(size_t arm);
std::string bar(size_t arm, size_t above = 0);   // `above`: how many others may lie on it
std::string band(size_t arm, size_t bands = 1);  // lighter where several `bands` may lie on each other
std::string box(size_t arm);

// A text, or its label, as a gnuplot string; nothing in it is special.
std::string quoted(const std::string& text);
// The same for a text whose line breaks are to be seen.
std::string quoted_lines(const std::string& text);

// Where things stand, in shares of the height.
struct Frame {
  double height_in = 0;
  double top = 0, bottom = 0;  // of the drawing area
  std::string words;           // title and caption, a line each
};
// The rows that a key takes, and the size of its letters.
struct KeyShape {
  size_t rows = 0;
  double points = small_font_pt;
};
// Short names stand in two columns, and so do many, in smaller letters if they must: gnuplot breaks a column
// that is longer than a panel is high.
KeyShape key_shape(const std::vector<std::string>& names);
// Title, a caption below it, both wrapped where they are too long for the width, frame and grid, and a key
// under the drawing area, for which the height grows. `body_in` is the height of the drawing area, `axis_in`
// that of the texts below it.
Frame frame(std::string& script, const std::string& title, const std::string& caption, const KeyShape& key,
            double body_in, double axis_in = 0.36);
// A text in lines of at most `most` characters, broken at spaces, best behind a "; ".
std::vector<std::string> wrapped(const std::string& text, size_t most);
// The same broken behind '_' as well, without regard to sense; parts longer than `most` stay whole.
std::vector<std::string> broken(const std::string& text, size_t most);
// The smallest distance of 1, 2, 5, 10, 20, … (and their tenths, …) at which [low, high] has at most `most`
// tics.
double tic_step(double low, double high, int most);
// The share of the height at which something stands `inches` below the top, or above the bottom.
double from_bottom(const Frame& frame, double inches);

// The left edge of the drawing area, a share of the width: room for a name and tics.
double left_margin();

// The name of the x axis, below its tics.
std::string x_name(const std::string& name);
// An axis' name at the left edge of the page around the height `middle` (a share), as label `number`.
std::string y_name(int number, const std::string& name, double middle);
// The y axis over [low, high] and a margin on both sides, never empty, with at most `tics` + 1 labelled tics,
// and its name.
std::string y_axis(int number, const std::string& name, double middle, double low, double high, int tics);

}  // namespace attnlab::style
