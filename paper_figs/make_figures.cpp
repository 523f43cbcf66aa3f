// make_figures RESULTS...: the figures, from HDF5 files alone.
#include <fmt/format.h>

#include <array>
#include <boost/program_options.hpp>
#include <csignal>
#include <sstream>

#include "core/errors.h"
#include "core/names.h"
#include "figure.h"
#include "render.h"

namespace {
namespace po = boost::program_options;
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
  bool unfinished = false, help = false;
  std::string help_text;
};

std::vector<std::string> figure_names() {
  std::vector<std::string> names;
  for (const auto& figure : figures) names.emplace_back(figure.name);
  return names;
}

Options parse(int argc, char** argv) {
  Options options;
  po::options_description visible("Options");
  visible.add_options()("only", po::value(&options.only)->value_name("NAME"),
                        ("draw this figure only; may be repeated: " + join(figure_names())).c_str())(
      "out", po::value(&options.out)->value_name("DIR"),
      "where files go (default: figures/ in the first RESULTS)")(
      "unfinished", po::bool_switch(&options.unfinished), "draw runs that are not finished, too")(
      "help", po::bool_switch(&options.help), "print this");
  po::options_description all;
  all.add(visible).add_options()("results", po::value(&options.results));
  po::variables_map values;
  const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::store(po::command_line_parser(argc, argv)
                .options(all)
                .positional(po::positional_options_description().add("results", -1))
                .style(style)
                .run(),
            values);
  po::notify(values);
  std::ostringstream text;
  text << "Usage: make_figures RESULTS... [options]\n"
          "RESULTS: folders with runs (seed*.h5 at any depth) or single run files. Writes each figure as PNG,\n"
          "PDF and SVG, and the plotted numbers as CSV.\n"
       << visible << "Example: make_figures results/quickstart --only accuracy\n";
  options.help_text = text.str();
  return options;
}

void validate(const Options& options) {
  if (options.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  const auto names = figure_names();
  for (const auto& name : options.only)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw InputError(BadInput{.file = "--only",
                                .found = "'" + name + "'",
                                .expected = "one of " + join(names),
                                .nearest = nearest_name(name, names)});
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
  try {
    const Options options = parse(argc, argv);
    if (options.help) {
      fmt::print("{}", options.help_text);
      return 0;
    }
    validate(options);
    draw(options);
    return 0;
  } catch (const RunError& error) {
    fmt::print(stderr, "make_figures: {}\n", error.what());
    return 1;
  } catch (const std::exception& error) {  // InputError and the parser's
    fmt::print(stderr, "make_figures: {}\n", error.what());
    return 2;
  }
}
