// make_figures RESULTS...: the figures, from HDF5 files alone.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "config/node.h"
#include "core/numbers.h"
#include "figure_table.h"
#include "program.h"
#include "render.h"
#include "style.h"
#include "tables.h"

namespace {
using namespace attnlab;

struct Options {
  std::vector<std::string> results, only;
  std::string out, width, labels;
  int64_t font_size = 7;
  bool unfinished = false, no_title = false;
};

void validate(const Options& options) {
  if (options.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  for (const auto& name : options.only) require_name("--only", name, figure_names());
  require_range("--font-size", options.font_size, 5, 12);
}

// "3.3in", "84mm", "8.4cm", or a number of inches.
double inches_of(const std::string& text) {
  double unit = 1;
  std::string number = text;
  for (const auto& [name, size] : {std::pair{"in", 1.0}, {"mm", 1 / 25.4}, {"cm", 1 / 2.54}})
    if (text.ends_with(name)) {
      unit = size;
      number = text.substr(0, text.size() - 2);
    }
  const auto value = parse_number<double>(number);
  if (!value || !(*value * unit >= 2) || !(*value * unit <= 20))
    throw InputError(BadInput{.file = "--width",
                              .found = "'" + text + "'",
                              .expected = "a width of 2 to 20 inches: 3.3in, 84mm, 8.4cm"});
  return *value * unit;
}

// NAME: LABEL, a line each.
std::map<std::string, std::string> read_labels(const std::string& file) {
  const Node root = parse_yaml_file(file);
  const auto refuse = [&](const Node& node, const std::string& key, const char* expected) {
    throw InputError(
        {.file = file, .line = node.line, .key = key, .found = node.describe(), .expected = expected});
  };
  if (root.kind != Node::Kind::map) refuse(root, "", "a map of NAME: LABEL");
  std::map<std::string, std::string> labels;
  for (const auto& [name, value] : root.entries) {
    if (value.kind != Node::Kind::scalar) refuse(value, name, "a text");
    labels[name] = value.text;
  }
  return labels;
}

style::Page page_of(const Options& options) {
  style::Page page{.font_pt = static_cast<double>(options.font_size), .titles = !options.no_title};
  if (!options.width.empty()) page.width_in = inches_of(options.width);
  if (!options.labels.empty()) page.labels = read_labels(options.labels);
  return page;
}

std::filesystem::path output_folder(const Options& options) {
  if (!options.out.empty()) return options.out;
  const std::filesystem::path first = options.results.front();
  return (std::filesystem::is_directory(first) ? first : first.parent_path()) / "figures";
}

bool is_wanted(const Options& options, const char* name) {
  return options.only.empty() || std::count(options.only.begin(), options.only.end(), name) > 0;
}

// Returns the exit code: 1 if there was nothing to draw.
int draw(const Options& options) {
  const FigureInputs inputs = read_figure_inputs(options.results, options.unfinished);
  for (const auto& note : inputs.notes) fmt::print(stderr, "make_figures: {}\n", note);
  int code = 1;
  std::vector<std::string> skipped;
  for (const auto& row : figure_table()) {
    if (!is_wanted(options, row.name)) continue;
    const Figure figure = draw_figure(row, inputs);
    if (figure.empty() && options.only.empty()) skipped.emplace_back(row.name);
    if (figure.empty() && !options.only.empty())
      fmt::print(stderr, "make_figures: {} skipped: {}\n", row.name, figure.missing);
    if (!figure.drawings.empty()) require_gnuplot();
    for (const auto& drawing : figure.drawings)
      for (const auto& path : render(drawing, output_folder(options))) fmt::print("{}\n", path.string());
    for (const auto& table : figure.tables)
      for (const auto& path : write_table(table, output_folder(options))) fmt::print("{}\n", path.string());
    if (!figure.empty()) code = 0;
  }
  if (!skipped.empty())
    fmt::print(stderr, "make_figures: skipped, for want of data: {} (--only NAME tells what makes it)\n",
               join(skipped));
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a gnuplot that dies is an error with a message
  Options o;
  Program program(
      {.name = "make_figures",
       .usage = "RESULTS... [options]",
       .about = "RESULTS: folders with runs (seed*.h5 at any depth) or measurements "
                "(*.measured.h5), or single\n"
                "files. Writes each figure as PNG, PDF and SVG, and the plotted numbers as CSV; tables as "
                "Markdown,\n"
                "LaTeX and CSV. With several experiments each has its own files, "
                "EXPERIMENT-FIGURE.png and so on.",
       .example = "make_figures results/quickstart --only accuracy",
       .exits = "0 done, 1 nothing to draw or failed while running, 2 bad input"});
  program.positional("results", o.results)
      .option("only", o.only, "NAME", "draw this figure only; may be repeated: " + join(figure_names()))
      .option("out", o.out, "DIR", "where files go (default: figures/ in the first RESULTS)")
      .option("width", o.width, "WIDTH", "of figures: 3.3in, 84mm, 8.4cm (default: 3.4in, a column)")
      .option("font-size", o.font_size, "POINTS", "of the text, 5 to 12")
      .option("labels", o.labels, "FILE",
              "YAML, NAME: LABEL: what stands in figures for an arm, an axis, a key")
      .flag("no-title", o.no_title, "title and caption go to NAME.txt beside the figure instead of into it")
      .flag("unfinished", o.unfinished, "draw runs that are not finished, too");
  return program.run(argc, argv, [&] {
    validate(o);
    style::set_page(page_of(o));
    return draw(o);
  });
}
