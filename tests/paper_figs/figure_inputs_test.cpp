#include "figure_inputs.h"

#include "core/errors.h"
#include "figure_table.h"
#include "sample_runs.h"

using namespace attnlab;

namespace {

std::string error_of(const std::filesystem::path& path, bool unfinished = false) {
  try {
    read_figure_inputs({path.string()}, unfinished);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the rows of all files of measurements are read together, from folders and single files") {
  const test::TemporaryFolder folder;
  const auto one = folder.path() / "a" / "fits.measured.h5", two = folder.path() / "b" / "fits.measured.h5";
  write_measurements(one, {.fits = {{.seed = 1, .student = "gqa"}, {.seed = 2, .student = "gqa"}}});
  write_measurements(two, {.decode_steps = {{.context = 64}},
                           .served = {{.requests = 5}},
                           .fits = {{.seed = 3, .student = "mla"}}});
  for (const std::vector<std::string>& results : {std::vector<std::string>{folder.path().string()},
                                                  std::vector<std::string>{one.string(), two.string()}}) {
    const FigureInputs inputs = read_figure_inputs(results, false);
    CHECK(inputs.experiments.empty());
    REQUIRE(inputs.measured.fits.size() == 3);
    CHECK(inputs.measured.fits[1].seed == 2);
    CHECK(inputs.measured.fits[2].student == "mla");
    CHECK(inputs.measured.decode_steps.size() == 1);
    CHECK(inputs.measured.served.size() == 1);
    CHECK(inputs.measured.norms.empty());
  }
}

TEST_CASE("runs and measurements may lie in one folder") {
  const test::TemporaryFolder folder;
  write_measurements(folder.path() / "x.measured.h5", {.grams = {{.value = 1}}});
  test::write_run(folder.path(), {});
  const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
  REQUIRE(inputs.experiments.size() == 1);
  CHECK(inputs.experiments.front().experiment.empty());
  CHECK(inputs.experiments.front().file_prefix.empty());
  CHECK(inputs.measured.grams.size() == 1);
}

TEST_CASE("a folder with neither runs nor measurements is refused, and a file that is no measurement") {
  const test::TemporaryFolder folder;
  CHECK_THAT(error_of(folder.path()), ContainsSubstring("no run"));
  write_file_atomic(folder.path() / "x.measured.h5", "no HDF5 at all");
  CHECK_THAT(error_of(folder.path()), ContainsSubstring("x.measured.h5"));
}

TEST_CASE("runs that are not finished are refused alone, and left out beside measurements") {
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.state = RunState::running});
  CHECK_THAT(error_of(folder.path()), ContainsSubstring("no finished run"));
  CHECK(error_of(folder.path(), true).empty());
  write_measurements(folder.path() / "x.measured.h5", {.grams = {{.value = 1}}});
  const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
  CHECK(inputs.experiments.empty());
  CHECK(inputs.notes == std::vector<std::string>{"experiment sample is left out: no finished run"});
}

TEST_CASE("a figure is skipped only if no experiment has its data") {
  const test::TemporaryFolder folder;
  test::write_run(folder.path() / "x", {.experiment = "x", .problems = 0});
  const auto accuracy_row = [] {
    for (const FigureRow& row : figure_table())
      if (row.name == std::string("accuracy")) return row;
    throw RunError("no such figure");
  }();
  const Figure none = draw_figure(accuracy_row, read_figure_inputs({folder.path().string()}, false));
  CHECK(none.drawings.empty());
  CHECK_THAT(none.missing, ContainsSubstring("no evaluation") && ContainsSubstring("; made by: build/bin/"));
  test::write_run(folder.path() / "y", {.experiment = "y"});
  const Figure one = draw_figure(accuracy_row, read_figure_inputs({folder.path().string()}, false));
  REQUIRE(one.drawings.size() == 1);
  CHECK(one.drawings.front().name == "y-accuracy");
}
