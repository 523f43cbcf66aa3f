// Curves in a terminal: braille dots, two by four a character, or plain letters where those can't be shown.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace attnlab {

struct TerminalStyle {
  int columns = 80;
  bool unicode = true, colour = false;
};

// What the terminal behind a file descriptor shows: its width (else COLUMNS, else 80); Unicode if the locale
// (LC_ALL, LC_CTYPE, LANG: the first that is set) is UTF-8; colours on a terminal, unless NO_COLOR is set
// (no-color.org) or TERM is "dumb".
TerminalStyle terminal_style(int descriptor);

// One curve. x ascends; a y that is not finite interrupts it.
struct PlotLine {
  std::string name;  // in the legend
  size_t place = 0;  // its letter and its colour
  std::vector<std::pair<double, double>> points;
};

struct PlotAxes {
  std::string x_title, y_title;
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
  std::function<std::string(double)> x_text, y_text;  // of a place on an axis
};

// Columns of the drawing area, beside the numbers of the y axis.
int plot_columns(const TerminalStyle& style);

// Title of y, drawing area of `rows` lines, x axis, legend. Later lines lie over earlier ones; each carries its
// letter along its way, so that lines which coincide, and lines without colours, are told apart.
std::string terminal_plot(const std::vector<PlotLine>& lines, const PlotAxes& axes, const TerminalStyle& style,
                          int rows = 16);

}  // namespace attnlab
