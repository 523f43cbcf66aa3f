#include "core/files.h"
#include "programs/run_program.h"
#include "report/sample_results.h"

using namespace attnlab;
using test::check_refused;
using test::run_program;

TEST_CASE("make_report writes the page of runs and measurements, the same at each call") {
  const test::TemporaryFolder folder;
  const std::string results = (folder.path() / "results").string(),
                    page = (folder.path() / "page.html").string();
  test::write_results(results);
  const auto measured = std::filesystem::path(results) / "a.measured.h5";
  write_measurements(measured, test::sample_measurements(measured));
  const std::string command = "make_report " + results + " --title 'A title' --out " + page;
  const auto outcome = run_program(command);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out == page + "\n");
  const std::string first = read_file(page);
  CHECK_THAT(first, ContainsSubstring("<h1>A title</h1>"));
  CHECK_THAT(first, ContainsSubstring("4 runs of 1 experiment and 1 file of measurements"));
  run_program(command);
  CHECK(read_file(page) == first);
}

TEST_CASE("make_report takes single files and folders of measurements alone") {
  const test::TemporaryFolder folder;
  const auto run = test::write_result(folder.path() / "runs", {});
  const auto measured = folder.path() / "measured" / "a.measured.h5";
  write_measurements(measured, test::sample_measurements(measured));
  const std::string page = (folder.path() / "page.html").string();
  for (const std::string& results : {run.string(), measured.string(), measured.parent_path().string()}) {
    INFO(results);
    const auto outcome = run_program("make_report " + results + " --out " + page);
    INFO(outcome.err);
    CHECK(outcome.code == 0);
  }
}

TEST_CASE("make_report judges the claims of a file") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path() / "results");
  const auto claims = folder.path() / "claims.yaml";
  write_file_atomic(
      claims,
      "- id: lower\n  sentence: MLA ends lower.\n  source: here\n  claimed: lower\n  needed: more\n  command: "
      "none\n  test:\n"
      "    - runs: {experiment: sample, arm: mla, against: gqa, metric: training_loss, expect: lower}\n");
  const std::string page = (folder.path() / "page.html").string();
  const auto outcome = run_program("make_report " + (folder.path() / "results").string() + " --claims " +
                                   claims.string() + " --out " + page);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(read_file(page), ContainsSubstring("<h3>MLA ends lower.</h3>"));
  CHECK_THAT(read_file(page), ContainsSubstring("holds here: 1."));
}

TEST_CASE("make_report refuses bad input in one line and writes nothing") {
  const test::TemporaryFolder folder;
  const std::string results = (folder.path() / "results").string(),
                    page = (folder.path() / "page.html").string();
  test::write_result(results, {});
  std::filesystem::create_directory(folder.path() / "empty");
  check_refused("make_report --out " + page, "no RESULTS given");
  check_refused("make_report " + results, "out: found nothing, expected the HTML file");
  check_refused("make_report " + results + "-none --out " + page, "expected a folder or file of results");
  check_refused("make_report " + (folder.path() / "empty").string() + " --out " + page, "found no run");
  check_refused("make_report " + results + " --figures " + results + "-none --out " + page,
                "expected a folder with NAME.svg");
  check_refused("make_report " + results + " --claims " + results + ".yaml --out " + page, ".yaml");
  check_refused("make_report " + results + " --titel x --out " + page, "--title");
  CHECK_FALSE(std::filesystem::exists(page));
}
