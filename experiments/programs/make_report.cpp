// make_report RESULTS...: one self-contained HTML page of what the runs show.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "compare/claims_format.h"
#include "core/files.h"
#include "program.h"
#include "report/report.h"
#include "results/archive.h"

namespace {
using namespace attnlab;
namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> results;
  std::string claims, title, figures, noise, out;
  bool markdown = false;
};

void read_results(const fs::path& path, ReportInput& input) {
  if (!fs::exists(path) && !place_in_archive(path))
    throw InputError(
        BadInput{.file = path.string(), .found = "nothing", .expected = "a folder or file of results"});
  std::vector<Measurements> measured = find_measurements(path);
  // Where there is neither, read_runs says so.
  if (holds_runs(path) || measured.empty())
    for (auto& run : read_runs(path, true)) input.runs.push_back(std::move(run));
  for (auto& one : measured) input.measured.push_back(std::move(one));
}

void write_report(const Options& o) {
  if (o.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  require_given("out", o.out, "the HTML file to write");
  ReportInput input{.title = o.title, .noise = o.noise, .figures = o.figures};
  for (const auto& path : o.results) read_results(path, input);
  if (!o.claims.empty())
    input.claims = judge_claims(o.claims, {.runs = input.runs, .measured = input.measured});
  if (input.claims)
    fmt::print("{}\n", format_claims(*input.claims, o.markdown ? TableStyle::markdown : TableStyle::text));
  const std::string page = make_report(std::move(input));
  write_file_atomic(o.out, page);
  fmt::print("{}\n", o.out);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "make_report",
       .usage = "RESULTS... --out FILE [options]",
       .about = "Writes one HTML page that needs no network: claims, verdicts, curves, samples, configs. "
                "Prints the\n"
                "table of claims.\n"
                "RESULTS: folders or files of runs (seed*.h5, with the evaluations of tasks beside them)\n"
                "and of measurements (*.measured.h5).",
       .example = "make_report results/quickstart --out report.html"});
  program.positional("results", o.results)
      .option("out", o.out, "FILE", "the page to write (required)")
      .option("claims", o.claims, "FILE", "claims to judge, as experiments/claims.yaml")
      .option("figures", o.figures, "DIR", "pictures of make_figures to show: NAME.svg and NAME.csv")
      .option("noise", o.noise, "DIR",
              "evaluations that differ in one factor each, as noise_certificate reads them")
      .option("title", o.title, "TEXT", "title of the page (default: the experiments' names)")
      .flag("markdown", o.markdown, "print the table of claims as Markdown");
  return program.run(argc, argv, [&] { write_report(o); });
}
