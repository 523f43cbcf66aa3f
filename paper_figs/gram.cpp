// Gram matrices of the up-projections (TransMLA v1's figure of orthogonality): the absolute cosine of each pair
// of columns. A row per matrix and state, a column per form.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "measured.h"
#include "style.h"

namespace attnlab {
namespace {

constexpr double left = 0.13, right = 0.86, gap_in = 0.12, under_in = 0.16;

struct Map {
  std::vector<GramRow> entries;
  int64_t size = 0;
  double off_diagonal = 0;  // mean of |cosine|
};

// What a drawing is made of.
struct Maps {
  std::vector<std::string> forms, rows;                   // rows: "k_up, converted"
  std::map<std::pair<std::string, std::string>, Map> at;  // row, form
};

void place_in(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

void add(Map& map, const GramRow& entry) {
  map.entries.push_back(entry);
  map.size = std::max({map.size, entry.row + 1, entry.column + 1});
}

void sum_up(Map& map) {
  double sum = 0;
  for (const auto& entry : map.entries)
    if (entry.row != entry.column) sum += std::abs(entry.value);
  map.off_diagonal = map.size > 1 ? sum / static_cast<double>(map.size * (map.size - 1)) : 0;
}

// Of the first layer there is.
Maps maps_of(const std::vector<GramRow>& rows) {
  int64_t layer = rows.front().layer;
  for (const auto& row : rows) layer = std::min(layer, row.layer);
  Maps maps;
  for (const auto& row : rows) {
    if (row.layer != layer) continue;
    const std::string name = row.matrix + ", " + row.state;
    place_in(maps.forms, row.form);
    place_in(maps.rows, name);
    add(maps.at[{name, row.form}], row);
  }
  for (auto& [place, map] : maps.at) sum_up(map);
  return maps;
}

// A matrix as gnuplot reads it; entries that are not there are 0.
std::string data_block(const std::string& name, const Map& map) {
  const auto size = static_cast<size_t>(map.size);
  std::vector<double> values(size * size);
  for (const auto& entry : map.entries)
    values[static_cast<size_t>(entry.row) * size + static_cast<size_t>(entry.column)] = std::abs(entry.value);
  std::string out = "$" + name + " << EOD\n";
  for (size_t i = 0; i < values.size(); ++i)
    out += fmt::format("{:.4g}{}", values[i], (i + 1) % size == 0 ? "\n" : " ");
  return out + "EOD\n";
}

struct Box {
  double left, right, bottom, top;  // shares of the page
};

// One for all maps, beside the first.
std::string colour_box(const Box& first) {
  return fmt::format(
      "set colorbox user origin screen 0.89, screen {:.4f} size screen 0.025, screen {:.4f}\n"
      "set cbtics (0, 0.5, 1) scale 0.3 offset -0.7,0 font '{},{}' textcolor rgb '#000000'\n",
      first.bottom, first.top - first.bottom, style::font, style::small_font_pt);
}

std::string heat_map(const std::string& block, const Map& map, const Box& box, const std::string& more,
                     double height_in) {
  const double last = static_cast<double>(map.size) - 0.5;
  return fmt::format(
      "set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n"
      "set tmargin at screen {:.4f}\nset xrange [-0.5:{}]\nset yrange [{}:-0.5]\n{}"
      "set label 3 'mean off diagonal {:.3f}' at screen {:.4f}, screen {:.4f} center font '{},5.2'\n"
      "plot ${} matrix using 1:2:3 with image notitle\nunset label\nunset colorbox\n",
      box.left, box.right, box.bottom, box.top, last, last, more, map.off_diagonal, (box.left + box.right) / 2,
      box.bottom - 0.07 / height_in, style::font, block);
}

std::string row_name(const std::string& name, double middle, int number) {
  return fmt::format("set label {} {} at screen 0.06, screen {:.4f} center rotate by 90 font '{},{}'\n", number,
                     style::quoted(name), middle, style::font, style::small_font_pt);
}

std::string form_name(const std::string& name, double middle, double height, int number) {
  return fmt::format("set label {} {} at screen {:.4f}, screen {:.4f} center font '{},{}'\n", number,
                     style::quoted(name), middle, height, style::font, style::small_font_pt);
}

// Draws maps of side `side_in` from `top_in` (above the page's lower edge) down.
std::string all_maps(const Maps& maps, double side_in, double top_in, double height_in) {
  std::string script, blocks;
  int number = 20;
  for (size_t i = 0; i < maps.rows.size(); ++i)
    for (size_t j = 0; j < maps.forms.size(); ++j) {
      const auto map = maps.at.find({maps.rows[i], maps.forms[j]});
      if (map == maps.at.end()) continue;
      const double x_in = left * style::layout_width_in() + static_cast<double>(j) * (side_in + gap_in);
      const double y_in = top_in - static_cast<double>(i) * (side_in + under_in);
      const Box box{x_in / style::layout_width_in(), (x_in + side_in) / style::layout_width_in(),
                    (y_in - side_in) / height_in, y_in / height_in};
      std::string more = script.empty() ? colour_box(box) : "";
      if (j == 0) more += row_name(maps.rows[i], (box.top + box.bottom) / 2, number++);
      if (i == 0)
        more += form_name(maps.forms[j], (box.left + box.right) / 2, box.top + 0.07 / height_in, number++);
      const std::string block = fmt::format("gram{}x{}", i, j);
      blocks += data_block(block, map->second);
      script += heat_map(block, map->second, box, more, height_in);
    }
  return blocks + "set multiplot\n" + script + "unset multiplot\n";
}

Drawing draw(const Maps& maps, const std::string& name, const std::string& caption) {
  const auto columns = static_cast<double>(maps.forms.size()), lines = static_cast<double>(maps.rows.size());
  const double side_in =
      std::min(1.2, ((right - left) * style::layout_width_in() - gap_in * (columns - 1)) / columns);
  const double names_in = 0.16;
  Drawing drawing{.name = name};
  const style::Frame frame = style::frame(drawing.script, "Gram matrices of the up-projections", caption, {},
                                          names_in + lines * (side_in + under_in), 0.02);
  drawing.height_in = frame.height_in;
  drawing.words = frame.words;
  drawing.script +=
      "unset key\nunset grid\nset border 15 lw 0.4 lc rgb '#888888'\nunset tics\nset cbrange [0:1]\n"
      "set palette defined (0 '#ffffff', 0.25 '#c6dbef', 0.5 '#6baed6', 0.75 '#2171b5', 1 '#08306b')\n";
  drawing.script += all_maps(maps, side_in, frame.top * frame.height_in - names_in, frame.height_in);
  return drawing;
}

std::string csv_of(const std::string& base, const Maps& maps) {
  std::string csv = "base,layer,form,matrix,state,row,column,cosine\n";
  for (const auto& [place, map] : maps.at)
    for (const auto& entry : map.entries)
      csv += fmt::format("{},{},{},{},{},{},{},{}\n", csv_text(base), entry.layer, entry.form, entry.matrix,
                         entry.state, entry.row, entry.column, entry.value);
  return csv;
}

}  // namespace

Figure gram(const Measurements& measured) {
  if (measured.grams.empty()) return {.drawings = {}, .missing = "no Gram matrix was measured"};
  Figure figure;
  const auto groups = grouped(measured.grams, [](const GramRow& row) { return row.base; });
  for (const auto& [base, rows] : groups) {
    const Maps maps = maps_of(rows);
    const int64_t layer = maps.at.begin()->second.entries.front().layer;
    Drawing& drawing = figure.drawings.emplace_back(
        draw(maps, drawing_name("gram", base, groups.size()),
             fmt::format("{}, layer {}; |cosine| of each pair of columns", short_name(base), layer)));
    drawing.csv = csv_of(base, maps);
  }
  return figure;
}

}  // namespace attnlab
