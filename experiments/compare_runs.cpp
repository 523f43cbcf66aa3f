// compare_runs RESULTS...: the verdict over finished runs, from their HDF5 files.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "core/errors.h"
#include "experiment/verdict.h"

namespace {
namespace po = boost::program_options;

struct Options {
  std::vector<std::string> results;
  std::string baseline;
  bool markdown = false, help = false;
  std::string help_text;
};

Options parse(int argc, char** argv) {
  Options options;
  po::options_description visible("Options");
  visible.add_options()("markdown", po::bool_switch(&options.markdown), "print Markdown tables")(
      "baseline", po::value(&options.baseline)->value_name("ARM"),
      "the arm that others are compared with (default: the first)")("help", po::bool_switch(&options.help),
                                                                    "print this");
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
  text << "Usage: compare_runs RESULTS... [options]\n"
          "RESULTS: folders with runs (seed*.h5 at any depth) or single run files.\n"
       << visible << "Example: compare_runs results/quickstart --markdown\n";
  options.help_text = text.str();
  return options;
}

void compare(const Options& options) {
  if (options.results.empty())
    throw attnlab::InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  std::vector<attnlab::RunRecord> runs;
  for (const auto& folder : options.results)
    for (auto& run : attnlab::read_runs(folder)) runs.push_back(std::move(run));
  const auto table = attnlab::compare_arms(runs, options.baseline);
  const auto style = options.markdown ? attnlab::TableStyle::markdown : attnlab::TableStyle::text;
  fmt::print("{}", attnlab::format_verdict(table, style));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (options.help) {
      fmt::print("{}", options.help_text);
    } else {
      compare(options);
    }
    return 0;
  } catch (const attnlab::RunError& error) {
    fmt::print(stderr, "compare_runs: {}\n", error.what());
    return 1;
  } catch (const std::exception& error) {  // InputError and the parser's
    fmt::print(stderr, "compare_runs: {}\n", error.what());
    return 2;
  }
}
