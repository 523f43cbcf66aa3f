// make_figures RESULTS...: the figures, from HDF5 files alone.
#include <fmt/format.h>

#include <array>
#include <csignal>

#include "figure.h"
#include "program.h"
#include "render.h"

namespace {
using namespace attnlab;

struct FigureRow {
  const char* name;
  Figure (*draw)(const RunSet& runs);
};
constexpr std::array<FigureRow, 3> figures{
    {{"training_loss", training_loss}, {"heldout_loss", heldout_loss}, {"accuracy", accuracy}}};

struct Options {
  std::vector<std::string> results, only;
  std::string out;
  bool unfinished = false;
};

std::vector<std::string> figure_names() {
  std::vector<std::string> names;
  for (const auto& figure : figures) names.emplace_back(figure.name);
  return names;
}

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

void draw(const Options& options) {
  std::vector<RunRecord> records;
  for (const auto& folder : options.results)
    for (auto& run : read_runs(folder)) records.push_back(std::move(run));
  const RunSet runs = sort_runs(std::move(records), options.unfinished);
  for (const auto& note : runs.notes) fmt::print(stderr, "make_figures: {}\n", note);
  require_gnuplot();
  for (const auto& row : figures) {
    if (!options.only.empty() && std::count(options.only.begin(), options.only.end(), row.name) == 0) continue;
    const Figure figure = row.draw(runs);
    if (figure.drawings.empty()) fmt::print(stderr, "make_figures: {} skipped: {}\n", row.name, figure.missing);
    for (const auto& drawing : figure.drawings)
      for (const auto& path : render(drawing, output_folder(options))) fmt::print("{}\n", path.string());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a gnuplot that dies is an error with a message
  Options o;
  Program program({.name = "make_figures",
                   .usage = "RESULTS... [options]",
                   .about = "RESULTS: folders with runs (seed*.h5 at any depth) or single run files. Writes "
                            "each figure as PNG,\n"
                            "PDF and SVG, and the plotted numbers as CSV.",
                   .example = "make_figures results/quickstart --only accuracy"});
  program.positional("results", o.results)
      .option("only", o.only, "NAME", "draw this figure only; may be repeated: " + join(figure_names()))
      .option("out", o.out, "DIR", "where files go (default: figures/ in the first RESULTS)")
      .flag("unfinished", o.unfinished, "draw runs that are not finished, too");
  return program.run(argc, argv, [&] {
    validate(o);
    draw(o);
  });
}
