// compare_runs RESULTS...: the verdict over finished runs, or the curves of one metric, from HDF5 files.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "compare/arms.h"
#include "compare/curve_plot.h"
#include "compare/planned_verdict.h"
#include "compare/signal_noise.h"
#include "compare/task_verdict.h"
#include "compare/verdict_format.h"
#include "comparison_figure.h"
#include "page_options.h"
#include "program.h"

namespace {
using namespace attnlab;

struct Options {
  std::vector<std::string> results;
  std::string baseline, metric, align, out;
  int64_t smooth = 0, late = 1;
  PageOptions page;
  bool markdown = false, unfinished = false, signal = false;
  TableStyle style() const { return markdown ? TableStyle::markdown : TableStyle::text; }
};

void validate(const Options& o) {
  if (o.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  if (!o.align.empty()) require_name("--align", o.align, all_names<Axis>());
  require_range("--smooth", o.smooth, 0);
  require_range("--late", o.late, 1);
  if (o.signal && !o.metric.empty())
    throw InputError(BadInput{.file = "--signal", .found = "--metric beside it", .expected = "one of the two"});
  if (!o.metric.empty()) {
    if (!o.out.empty()) check_figure_path(o.out);
    return;
  }
  for (const auto& [option, given] : {std::pair{"--align", !o.align.empty()},
                                      {"--out", !o.out.empty()},
                                      {"--smooth", o.smooth > 0},
                                      {"--unfinished", o.unfinished}})
    if (given) throw InputError(BadInput{.file = option, .expected = "--metric NAME beside it (see --help)"});
}

std::vector<RunRecord> read_all(const Options& o) {
  std::vector<RunRecord> runs;
  for (const auto& folder : o.results)
    for (auto& run : read_runs(folder)) runs.push_back(std::move(run));
  return with_late_average(std::move(runs), o.late);
}

// What one experiment's arms differ in, its config says; of several it is not known.
void print_verdict(const Options& o) {
  const std::vector<RunRecord> runs = read_all(o);
  const auto table = compare_arms(runs, o.baseline);
  fmt::print("{}{}{}", format_verdict(table, o.style()),
             format_task_verdict(compare_tasks(runs, table.baseline), o.style()),
             format_planned(judge_planned(runs), o.style()));
  if (o.signal) {
    const Grid grid = signal_grid(signal_over_noise(runs));
    fmt::print("\n{}\n{}\n", o.markdown ? as_markdown(grid) : as_text(grid), signal_note());
  }
  std::vector<const RunRecord*> finished;
  for (const auto& run : runs)
    if (run.state == RunState::complete) finished.push_back(&run);
  if (several_experiments(runs)) fmt::print("{}", format_differences(finished, o.style()));
}

void print_curves(const Options& o) {
  const std::vector<RunRecord> runs = read_all(o);
  const Axis axis = o.align.empty() ? Axis::steps : *from_name<Axis>(o.align);
  const CurveComparison curves = compare_curves(
      runs, o.metric, {.axis = axis, .smooth = o.smooth, .baseline = o.baseline, .failed = o.unfinished});
  std::vector<std::filesystem::path> written;
  if (!o.out.empty()) written = write_figure(curves, runs, o.out);
  fmt::print("{}", format_comparison(curves, o.style(), terminal_style(STDOUT_FILENO)));
  for (const auto& path : written) fmt::print("{}\n", path.string());
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "compare_runs",
       .usage = "RESULTS... [options]",
       .about =
           "RESULTS: folders with runs (seed*.h5 at any depth) or single run files. Prints the verdict over\n"
           "finished runs; with --metric the curves of one metric, of runs that go on, too.",
       .example = "compare_runs results/quickstart --metric loss --align tokens"});
  program.positional("results", o.results)
      .option("metric", o.metric, "NAME",
              "curves of this: loss, heldout, accuracy, or a task as its evaluations call it (gsm8k)")
      .option("align", o.align, "AXIS", "their axis: " + join(all_names<Axis>()) + " (default: steps)")
      .option("smooth", o.smooth, "N",
              "moving mean over N rows (0: a fortieth of the rows of the training loss, others as they are)")
      .option(
          "out", o.out, "FIGURE",
          "also draw them: FILE.png, .pdf or .svg (with a sweep FILE-POINT.png), or a folder for all and a CSV")
      .flag("signal", o.signal,
            "also print, for each metric and task, how far arms lie apart against what a run scatters by")
      .option("late", o.late, "N", "verdict over the mean of each run's last N evaluations (default: 1)")
      .flag("unfinished", o.unfinished, "curves of failed runs, too")
      .flag("markdown", o.markdown, "print Markdown tables")
      .option("baseline", o.baseline, "ARM", "the arm that others are compared with (default: the first)");
  add_page_options(program, o.page);
  return program.run(argc, argv, [&] {
    validate(o);
    style::set_page(page_of(o.page));
    if (!o.out.empty()) std::signal(SIGPIPE, SIG_IGN);  // a gnuplot that dies is an error with a message
    o.metric.empty() ? print_verdict(o) : print_curves(o);
  });
}
