// make_figures RESULTS...: the figures, from HDF5 files alone.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "figure_table.h"
#include "page_options.h"
#include "program.h"
#include "render.h"
#include "style.h"
#include "tables.h"

namespace {
using namespace attnlab;

struct Options {
  std::vector<std::string> results, only;
  std::string out, columns;
  PageOptions page;
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

std::vector<std::string> split_titles(const std::string& text) {
  std::vector<std::string> titles;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ';');) {
    const size_t first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
    if (first != std::string::npos) titles.push_back(part.substr(first, last - first + 1));
  }
  return titles;
}

struct Drawn {
  const FigureRow* row;
  Figure figure;
};

// Leaves the columns that are asked for in every table that has one of them.
void keep_columns(std::vector<Drawn>& drawn, const std::string& text) {
  const auto titles = split_titles(text);
  std::vector<std::string> known;
  for (const auto& [row, figure] : drawn)
    for (const auto& table : figure.tables)
      known.insert(known.end(), table.grid.titles.begin(), table.grid.titles.end());
  for (const auto& title : titles) require_name("--columns", title, known);
  for (auto& [row, figure] : drawn)
    for (auto& table : figure.tables) table.grid = with_columns(table.grid, titles);
}

// `skipped`: names of figures without data, where all were asked for.
std::vector<Drawn> draw_all(const Options& options, const FigureInputs& inputs,
                            std::vector<std::string>& skipped) {
  std::vector<Drawn> drawn;
  for (const auto& row : figure_table()) {
    if (!is_wanted(options, row.name)) continue;
    drawn.push_back({&row, draw_figure(row, inputs)});
    if (!drawn.back().figure.empty()) continue;
    if (options.only.empty())
      skipped.emplace_back(row.name);
    else
      fmt::print(stderr, "make_figures: {} skipped: {}\n", row.name, drawn.back().figure.missing);
    drawn.pop_back();
  }
  if (!options.columns.empty()) keep_columns(drawn, options.columns);
  return drawn;
}

void print_paths(const std::vector<std::filesystem::path>& paths) {
  for (const auto& path : paths) fmt::print("{}\n", path.string());
}

// "DIR: 9 figures (accuracy, tasks) as png, pdf, svg and csv": of all that was drawn, a line for each kind.
void print_summary(const std::vector<Drawn>& drawn, const std::filesystem::path& folder) {
  size_t figures = 0, tables = 0;
  std::vector<std::string> figure_rows, table_rows;
  for (const auto& [row, figure] : drawn) {
    figures += figure.drawings.size();
    tables += figure.tables.size();
    (figure.tables.empty() ? figure_rows : table_rows).emplace_back(row->name);
  }
  const auto count = [](size_t number, const char* what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
  };
  if (figures > 0)
    fmt::print("{}: {} ({}) as png, pdf, svg and csv\n", folder.string(), count(figures, "figure"),
               join(figure_rows));
  if (tables > 0)
    fmt::print("{}: {} ({}) as md, tex and csv\n", folder.string(), count(tables, "table"), join(table_rows));
}

// Returns the exit code: 1 if there was nothing to draw.
int draw(const Options& options) {
  const FigureInputs inputs = read_figure_inputs(options.results, options.unfinished);
  for (const auto& note : inputs.notes) fmt::print(stderr, "make_figures: {}\n", note);
  std::vector<std::string> skipped;
  const auto drawn = draw_all(options, inputs, skipped);
  const bool tell_paths = !options.only.empty();
  for (const auto& [row, figure] : drawn) {
    if (!figure.drawings.empty()) require_gnuplot();
    for (const auto& drawing : figure.drawings) {
      const auto paths = render(drawing, output_folder(options));
      if (tell_paths) print_paths(paths);
    }
    for (const auto& table : figure.tables) {
      const auto paths = write_table(table, output_folder(options));
      if (tell_paths) print_paths(paths);
    }
  }
  if (!tell_paths) print_summary(drawn, output_folder(options));
  if (!skipped.empty())
    fmt::print(stderr, "make_figures: skipped, for want of data: {} (--only NAME tells what makes it)\n",
               join(skipped));
  return drawn.empty() ? 1 : 0;
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
                "EXPERIMENT-FIGURE.png and so on.\nPrints what it drew; with --only the files' paths.",
       .example = "make_figures results/quickstart --only accuracy",
       .exits = "0 done, 1 nothing to draw or failed while running, 2 bad input"});
  program.positional("results", o.results)
      .option("only", o.only, "NAME", "draw this figure only; may be repeated: " + join(figure_names()))
      .option("out", o.out, "DIR", "where files go (default: figures/ in the first RESULTS)")
      .option("columns", o.columns, "TITLES",
              "of tables only these columns, by their titles, separated by ';', beside the first one")
      .flag("unfinished", o.unfinished, "draw runs that are not finished, too");
  add_page_options(program, o.page);
  return program.run(argc, argv, [&] {
    validate(o);
    style::set_page(page_of(o.page));
    return draw(o);
  });
}
