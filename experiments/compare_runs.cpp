// compare_runs RESULTS...: the verdict over finished runs, from their HDF5 files.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "compare/task_verdict.h"
#include "program.h"

namespace {
using namespace attnlab;

struct Options {
  std::vector<std::string> results;
  std::string baseline;
  bool markdown = false;
};

void compare(const Options& o) {
  if (o.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  std::vector<RunRecord> runs;
  for (const auto& folder : o.results)
    for (auto& run : read_runs(folder)) runs.push_back(std::move(run));
  const auto table = compare_arms(runs, o.baseline);
  const auto style = o.markdown ? TableStyle::markdown : TableStyle::text;
  fmt::print("{}{}", format_verdict(table, style),
             format_task_verdict(compare_tasks(runs, table.baseline), style));
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program({.name = "compare_runs",
                   .usage = "RESULTS... [options]",
                   .about = "RESULTS: folders with runs (seed*.h5 at any depth) or single run files.",
                   .example = "compare_runs results/quickstart --markdown"});
  program.positional("results", o.results)
      .flag("markdown", o.markdown, "print Markdown tables")
      .option("baseline", o.baseline, "ARM", "the arm that others are compared with (default: the first)");
  return program.run(argc, argv, [&] { compare(o); });
}
