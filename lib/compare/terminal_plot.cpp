#include "compare/terminal_plot.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace attnlab {
namespace {

constexpr int kLabelColumns = 10;  // numbers of the y axis and the axis itself

// 256-colour codes near the figures' colours (paper_figs/style.cpp), bright enough on dark and on light: the
// first is the terminal's own.
constexpr std::array<const char*, 7> kColours{"",
                                              "\033[38;5;202m",
                                              "\033[38;5;33m",
                                              "\033[38;5;36m",
                                              "\033[38;5;175m",
                                              "\033[38;5;214m",
                                              "\033[38;5;74m"};

std::string coloured(const std::string& text, size_t place, bool colour) {
  const char* code = kColours[place % kColours.size()];
  return colour && *code ? code + text + "\033[0m" : text;
}

char letter_of(size_t place) { return static_cast<char>(place < 26 ? 'A' + place : 'a' + place % 26); }

// The bit of a dot in its braille character (Unicode chapter 21.1): dots 7 and 8 were added below later.
constexpr std::array<std::array<uint8_t, 2>, 4> kDots{{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}};

std::string braille(uint8_t dots) {  // U+2800 + dots in UTF-8
  return {'\xE2', static_cast<char>(0xA0 | (dots >> 6)), static_cast<char>(0x80 | (dots & 0x3F))};
}

struct Character {
  uint8_t dots = 0;
  char letter = 0;
  size_t owner = 0;  // the line that was here last
};

class Canvas {
 public:
  // A character has dots_x by dots_y dots: 2 by 4 in braille, 1 by 1 without.
  Canvas(int columns, int rows, bool unicode)
      : columns_(columns), rows_(rows), dots_x_(unicode ? 2 : 1), dots_y_(unicode ? 4 : 1) {
    characters_.resize(static_cast<size_t>(columns * rows));
  }

  // Curve `number` of `count`; u and v are shares of the width and of the height, from the lower left.
  void draw(const std::vector<std::pair<double, double>>& points, size_t number) {
    const std::pair<double, double>* last = nullptr;
    for (const auto& point : points) {
      if (!std::isfinite(point.second)) {
        last = nullptr;
        continue;
      }
      segment(last ? *last : point, point, number);
      last = &point;
    }
  }

  // Letters stand apart by `period` columns, those of other curves between them.
  void write_letters(const std::vector<std::pair<double, double>>& points, size_t number, char letter,
                     int period, int shift) {
    const std::pair<double, double>* first = nullptr;
    bool written = false;
    for (const auto& point : points) {
      if (!std::isfinite(point.second) || point.second < 0 || point.second > 1) continue;
      if (!first) first = &point;
      if (column_of(point.first) % period != shift) continue;
      put_letter(point, number, letter);
      written = true;
    }
    if (first && !written) put_letter(*first, number, letter, true);
  }

  const Character& at(int column, int row) const {
    return characters_[static_cast<size_t>(row * columns_ + column)];
  }

 private:
  int dot_x(double u) const { return static_cast<int>(std::lround(u * (columns_ * dots_x_ - 1))); }
  int dot_y(double v) const { return static_cast<int>(std::lround((1 - v) * (rows_ * dots_y_ - 1))); }
  int column_of(double u) const { return dot_x(u) / dots_x_; }

  void segment(const std::pair<double, double>& from, const std::pair<double, double>& to, size_t number) {
    // What lies far outside is cut first, so that a leap to a loss of 1e9 takes no 1e9 dots.
    const double v0 = std::clamp(from.second, -1.0, 2.0), v1 = std::clamp(to.second, -1.0, 2.0);
    const int x0 = dot_x(from.first), y0 = dot_y(v0), x1 = dot_x(to.first), y1 = dot_y(v1);
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      const double share = static_cast<double>(i) / steps;
      dot(static_cast<int>(std::lround(x0 + share * (x1 - x0))),
          static_cast<int>(std::lround(y0 + share * (y1 - y0))), number);
    }
  }

  void dot(int x, int y, size_t number) {
    if (x < 0 || y < 0 || x >= columns_ * dots_x_ || y >= rows_ * dots_y_) return;
    Character& character = characters_[static_cast<size_t>(y / dots_y_ * columns_ + x / dots_x_)];
    character.dots |= kDots[static_cast<size_t>(y % dots_y_)][static_cast<size_t>(x % dots_x_)];
    character.owner = number;
  }

  // `beside`: to the right of letters that are there already.
  void put_letter(const std::pair<double, double>& point, size_t number, char letter, bool beside = false) {
    const int row = dot_y(point.second) / dots_y_;
    int column = column_of(point.first);
    while (beside && at(column, row).letter && column + 1 < columns_) ++column;
    Character& character = characters_[static_cast<size_t>(row * columns_ + column)];
    character.letter = letter;
    character.owner = number;
  }

  int columns_, rows_, dots_x_, dots_y_;
  std::vector<Character> characters_;
};

std::vector<std::pair<double, double>> as_shares(const PlotLine& line, const PlotAxes& axes) {
  std::vector<std::pair<double, double>> shares;
  const double width = axes.x_high - axes.x_low, height = axes.y_high - axes.y_low;
  for (const auto& [x, y] : line.points)
    shares.emplace_back(width > 0 ? std::clamp((x - axes.x_low) / width, 0.0, 1.0) : 0.5,
                        height > 0 ? (y - axes.y_low) / height : 0.5 + 0 * y);
  return shares;
}

Canvas draw(const std::vector<PlotLine>& lines, const PlotAxes& axes, const TerminalStyle& style, int rows) {
  Canvas canvas(plot_columns(style), rows, style.unicode);
  const int count = static_cast<int>(lines.size()), period = std::max(8, 3 * count);
  for (size_t i = 0; i < lines.size(); ++i) canvas.draw(as_shares(lines[i], axes), i);
  for (size_t i = 0; i < lines.size(); ++i)
    canvas.write_letters(as_shares(lines[i], axes), i, letter_of(lines[i].place), period,
                         static_cast<int>(i) * period / count);
  return canvas;
}

std::string character_text(const Character& character, const std::vector<PlotLine>& lines,
                           const TerminalStyle& style) {
  if (!character.letter && !character.dots) return " ";
  const size_t place = lines[character.owner].place;
  std::string text(1, character.letter);
  if (!character.letter) text = style.unicode ? braille(character.dots) : std::string(1, '.');
  return coloured(text, place, style.colour);
}

std::string row_text(const Canvas& canvas, int row, const std::vector<PlotLine>& lines,
                     const TerminalStyle& style) {
  std::string text;
  for (int column = 0; column < plot_columns(style); ++column)
    text += character_text(canvas.at(column, row), lines, style);
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

// The places at both ends and in the middle, as far as there is room; the only one, if there is one.
std::string x_places(const PlotAxes& axes, size_t width) {
  std::string line(width, ' ');
  const auto put = [&](size_t at, const std::string& text) {
    if (at + text.size() <= width) line.replace(at, text.size(), text);
  };
  const std::string low = axes.x_text(axes.x_low), high = axes.x_text(axes.x_high);
  const std::string middle = axes.x_text((axes.x_low + axes.x_high) / 2);
  if (axes.x_low == axes.x_high) {
    put(width / 2 - low.size() / 2, low);
    return line.substr(0, line.find_last_not_of(' ') + 1);
  }
  put(0, low);
  if (low.size() + middle.size() + high.size() + 4 < width) put(width / 2 - middle.size() / 2, middle);
  if (low.size() + high.size() + 1 < width) put(width - high.size(), high);
  return line;
}

std::string x_axis(const PlotAxes& axes, const TerminalStyle& style) {
  const int columns = plot_columns(style);
  std::string rule;
  for (int i = 0; i < columns; ++i) rule += style.unicode ? "─" : "-";
  const std::string gap(kLabelColumns, ' ');
  return std::string(kLabelColumns - 1, ' ') + (style.unicode ? "└" : "+") + rule + "\n" + gap +
         x_places(axes, static_cast<size_t>(columns)) + "\n" + gap + axes.x_title + "\n";
}

std::string legend(const std::vector<PlotLine>& lines, const TerminalStyle& style) {
  std::string text, line;
  size_t used = 0;
  for (const auto& curve : lines) {
    const size_t length = curve.name.size() + 5;
    if (used > 0 && used + length + kLabelColumns > static_cast<size_t>(style.columns)) {
      text += std::string(kLabelColumns, ' ') + line + "\n";
      line.clear();
      used = 0;
    }
    line += (used > 0 ? "   " : "") +
            coloured(std::string(1, letter_of(curve.place)) + " " + curve.name, curve.place, style.colour);
    used += length;
  }
  return text + std::string(kLabelColumns, ' ') + line + "\n";
}

}  // namespace

int plot_columns(const TerminalStyle& style) { return std::max(20, style.columns - kLabelColumns); }

TerminalStyle terminal_style(int descriptor) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  TerminalStyle style;
  winsize size{};
  const bool terminal = ::isatty(descriptor) != 0;
  if (terminal && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.columns = size.ws_col;
  } else if (const int columns = std::atoi(variable("COLUMNS").c_str()); columns > 0) {
    style.columns = std::clamp(columns, 30, 1000);
  }
  std::string locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (locale.empty()) locale = variable(name);
  for (char& c : locale) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  style.unicode = locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  style.colour = terminal && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  return style;
}

std::string terminal_plot(const std::vector<PlotLine>& lines, const PlotAxes& axes, const TerminalStyle& style,
                          int rows) {
  if (lines.empty()) return "";
  const Canvas canvas = draw(lines, axes, style, rows);
  std::string text = axes.y_title + "\n";
  for (int row = 0; row < rows; ++row) {
    const bool labelled = row % 4 == 0 || row + 1 == rows;
    const double y = axes.y_high - (axes.y_high - axes.y_low) * row / std::max(1, rows - 1);
    text += fmt::format("{:>{}}{}", labelled ? axes.y_text(y) + " " : "", kLabelColumns - 1,
                        style.unicode ? (labelled ? "┤" : "│") : "|") +
            row_text(canvas, row, lines, style);
  }
  return text + x_axis(axes, style) + legend(lines, style);
}

}  // namespace attnlab
