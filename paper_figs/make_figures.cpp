// make_figures RESULTS...: the figures, from HDF5 files alone.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "figure_table.h"
#include "program.h"
#include "render.h"
#include "tables.h"

namespace {
using namespace attnlab;

struct Options {
  std::vector<std::string> results, only;
  std::string out;
  bool unfinished = false;
};

void validate(const Options& options) {
  if (options.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  for (const auto& name : options.only) require_name("--only", name, figure_names());
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
  for (const auto& row : figure_table()) {
    if (!is_wanted(options, row.name)) continue;
    const Figure figure = draw_figure(row, inputs);
    if (figure.empty()) fmt::print(stderr, "make_figures: {} skipped: {}\n", row.name, figure.missing);
    if (!figure.drawings.empty()) require_gnuplot();
    for (const auto& drawing : figure.drawings)
      for (const auto& path : render(drawing, output_folder(options))) fmt::print("{}\n", path.string());
    for (const auto& table : figure.tables)
      for (const auto& path : write_table(table, output_folder(options))) fmt::print("{}\n", path.string());
    if (!figure.empty()) code = 0;
  }
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
      .flag("unfinished", o.unfinished, "draw runs that are not finished, too");
  return program.run(argc, argv, [&] {
    validate(o);
    return draw(o);
  });
}
