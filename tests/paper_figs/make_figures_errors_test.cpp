#include <algorithm>

#include "sample_runs.h"

using namespace attnlab;
using test::Called;
using test::make_figures;

namespace {

// Ends with this status and one line that says `what`, and leaves no figures.
void check_refused(const Called& called, int status, const std::string& what,
                   const std::filesystem::path& figures) {
  INFO(called.err);
  CHECK(called.status == status);
  CHECK(std::count(called.err.begin(), called.err.end(), '\n') == 1);
  CHECK_THAT(called.err, ContainsSubstring("make_figures: ") && ContainsSubstring(what));
  CHECK(called.out.empty());
  CHECK_FALSE(std::filesystem::exists(figures));
}

}  // namespace

TEST_CASE("options that make no sense are refused in one line and nothing is written") {
  const test::TemporaryFolder folder;
  const auto results = folder.path() / "results", figures = folder.path() / "out";
  test::write_run(results, {});
  const std::string good = results.string() + " --out " + figures.string() + " ";
  check_refused(make_figures("--out " + figures.string()), 2, "no RESULTS given", figures);
  check_refused(make_figures(good + "--only acuracy"), 2, "did you mean 'accuracy'", figures);
  check_refused(make_figures(good + "--colour red"), 2, "--colour", figures);
  check_refused(make_figures(good + "--only"), 2, "--only", figures);
}

TEST_CASE("results that are not there or not finished are refused in one line and nothing is written") {
  const test::TemporaryFolder folder;
  const auto figures = folder.path() / "out";
  const auto refuse = [&](const std::filesystem::path& results, const std::string& what) {
    check_refused(make_figures(results.string() + " --out " + figures.string()), 2, what, figures);
  };
  refuse(folder.path() / "nowhere", "nowhere");
  std::filesystem::create_directory(folder.path() / "empty");
  refuse(folder.path() / "empty", "empty");
  write_file_atomic(folder.path() / "text" / "seed0.h5", "no HDF5 at all");
  refuse(folder.path() / "text", "seed0.h5");

  test::write_run(folder.path() / "running", {.state = RunState::running});
  const Called called = make_figures((folder.path() / "running").string() + " --out " + figures.string());
  CHECK(called.status == 2);
  CHECK_THAT(called.err, ContainsSubstring("no finished run") && ContainsSubstring("--unfinished"));
  CHECK_FALSE(std::filesystem::exists(figures));
}

TEST_CASE("without gnuplot the package to install is named") {
  const test::TemporaryFolder folder;
  const auto figures = folder.path() / "out";
  test::write_run(folder.path() / "results", {});
  const std::string arguments = (folder.path() / "results").string() + " --out " + figures.string();
  check_refused(make_figures(arguments, "PATH=/nowhere"), 1, "install the package gnuplot-nox", figures);
}

TEST_CASE("a folder that cannot be written is one clear line") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path() / "results", {});
  write_file_atomic(folder.path() / "file", "in the way");
  const Called called =
      make_figures((folder.path() / "results").string() + " --out " + (folder.path() / "file").string());
  CHECK(called.status == 1);
  CHECK(std::count(called.err.begin(), called.err.end(), '\n') == 1);
  CHECK(read_file(folder.path() / "file") == "in the way");
}

TEST_CASE("the option --help tells the options and an example") {
  const Called called = make_figures("--help");
  CHECK(called.status == 0);
  for (const char* text :
       {"Example: make_figures results/quickstart", "training_loss", "heldout_loss", "accuracy"})
    CHECK_THAT(called.out, ContainsSubstring(text));
}
