// export_runs as a user calls it. The forms themselves are tested in tests/results.
#include <algorithm>

#include "paper_figs/sample_runs.h"
#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::run_program;

// A Python that imports `package`: ATTNLAB_PYTHON's or the first on the PATH; "" if there is none.
std::string python_with(const std::string& package) {
  for (const char* candidate : {static_cast<const char*>(std::getenv("ATTNLAB_PYTHON")), "python3"})
    if (candidate &&
        std::system((std::string(candidate) + " -c 'import " + package + "' 2>/dev/null").c_str()) == 0)
      return candidate;
  return "";
}

std::filesystem::path write_exported_runs(const test::TemporaryFolder& folder) {
  const auto results = folder.path() / "results";
  for (const int64_t seed : {0, 1}) test::write_run(results, {.seed = seed, .steps = 20});
  test::write_run(results, {.arm = "mla", .arm_index = 1, .steps = 20, .state = RunState::running});
  return results;
}

TEST_CASE("export_runs writes an event file for each run, unfinished ones too, the same bytes each time") {
  const test::TemporaryFolder folder;
  const std::string results = write_exported_runs(folder).string();
  const auto out = folder.path() / "tb", again = folder.path() / "again";
  const auto outcome = run_program("export_runs " + results + " --to tensorboard --out " + out.string());
  CHECK(outcome.code == 0);
  CHECK(std::count(outcome.out.begin(), outcome.out.end(), '\n') == 3);
  const std::string file = "sample/mla/seed0/events.out.tfevents.0000000000.attnlab";
  REQUIRE(std::filesystem::exists(out / file));
  CHECK(run_program("export_runs " + results + " --to tensorboard --out " + again.string()).code == 0);
  CHECK(read_file(out / file) == read_file(again / file));
}

TEST_CASE("TensorBoard's own reader reads what export_runs writes") {
  const std::string python = python_with("tensorboard");
  if (python.empty()) SKIP_TEST("no Python with tensorboard (set ATTNLAB_PYTHON)");
  const test::TemporaryFolder folder;
  const auto results = write_exported_runs(folder), out = folder.path() / "tb", read = folder.path() / "read";
  REQUIRE(run_program("export_runs " + results.string() + " --to tensorboard --out " + out.string()).code == 0);
  const std::string script = (test::source_dir() / "scripts" / "check_tensorboard.py").string();
  REQUIRE(std::system((python + " " + script + " " + out.string() + " >" + read.string()).c_str()) == 0);
  const std::string found = read_file(read);
  CHECK_THAT(found, ContainsSubstring("sample/gqa/seed1 train/loss 20 1 20 ") &&
                        ContainsSubstring("sample/mla/seed0 heldout/loss 2 0 20 ") &&
                        ContainsSubstring("sample/gqa/seed0 config text"));
}

TEST_CASE("the verdict of an archive is that of its folder") {
  const test::TemporaryFolder folder;
  const std::string results = write_exported_runs(folder).string();
  const std::string archive = (folder.path() / "all.archive.h5").string();
  const auto outcome = run_program("export_runs " + results + " --to archive --out " + archive);
  CHECK(outcome.code == 0);
  CHECK(outcome.out == archive + ": 3 files\n");
  const auto of_folder = run_program("compare_runs " + results),
             of_archive = run_program("compare_runs " + archive);
  CHECK_THAT(of_archive.out, ContainsSubstring("mla"));
  const auto unpacked = folder.path() / "again";
  CHECK(run_program("export_runs " + archive + " --to folder --out " + unpacked.string()).out ==
        unpacked.string() + ": 3 files\n");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(results))
    if (entry.path().extension() == ".h5")
      CHECK(read_file(unpacked / entry.path().lexically_relative(results)) == read_file(entry.path()));
  check_refused("export_runs " + archive + " --to folder --out " + unpacked.string(), "is there already");
  check_refused("export_runs " + results + " --to folder --out " + unpacked.string(),
                "expected one archive, for --to folder");
  CHECK(of_archive.code == of_folder.code);
  CHECK(std::count(of_archive.out.begin(), of_archive.out.end(), '\n') ==
        std::count(of_folder.out.begin(), of_folder.out.end(), '\n'));
}

TEST_CASE("export_runs writes tidy tables") {
  const test::TemporaryFolder folder;
  const auto results = write_exported_runs(folder), out = folder.path() / "csv";
  REQUIRE(run_program("export_runs " + results.string() + " --to csv --out " + out.string()).code == 0);
  for (const auto& [name, rows] : {std::pair{"runs", 3}, {"train", 60}, {"evaluations", 6}, {"tasks", 0}}) {
    const std::string csv = read_file(out / (std::string(name) + ".csv"));
    INFO(name);
    CHECK(std::count(csv.begin(), csv.end(), '\n') == rows + 1);
  }
}

TEST_CASE("export_runs writes Parquet through pyarrow") {
  const std::string python = python_with("pyarrow");
  if (python.empty()) SKIP_TEST("no Python with pyarrow (set ATTNLAB_PYTHON)");
  const test::TemporaryFolder folder;
  const auto results = write_exported_runs(folder), out = folder.path() / "parquet";
  setenv("ATTNLAB_PYTHON", python.c_str(), 1);
  const auto outcome = run_program("export_runs " + results.string() + " --to parquet --out " + out.string());
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const std::string check =
      "import sys, pyarrow.parquet as p; t = p.read_table(sys.argv[1]); "
      "assert t.num_rows == 60 and str(t.schema.field(\"loss\").type) == \"double\" and "
      "str(t.schema.field(\"sweep_point\").type) == \"string\" and t.column(\"step\")[59].as_py() == 20";
  CHECK(std::system((python + " -c '" + check + "' " + (out / "train.parquet").string()).c_str()) == 0);
}

TEST_CASE("without pyarrow export_runs names the package and writes nothing") {
  const test::TemporaryFolder folder;
  const auto results = write_exported_runs(folder), out = folder.path() / "parquet";
  const char* before = std::getenv("ATTNLAB_PYTHON");
  const std::string kept = before ? before : "";
  setenv("ATTNLAB_PYTHON", "/bin/false", 1);  // a Python that imports nothing
  const auto outcome = run_program("export_runs " + results.string() + " --to parquet --out " + out.string());
  setenv("ATTNLAB_PYTHON", "/nowhere/python", 1);
  const auto none = run_program("export_runs " + results.string() + " --to parquet --out " + out.string());
  before ? setenv("ATTNLAB_PYTHON", kept.c_str(), 1) : unsetenv("ATTNLAB_PYTHON");
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, ContainsSubstring("python3 -m pip install pyarrow"));
  CHECK(none.code == 1);
  CHECK_THAT(none.err, ContainsSubstring("/nowhere/python cannot be started"));
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("export_runs refuses bad input in one line") {
  const test::TemporaryFolder folder;
  const auto results = write_exported_runs(folder).string(), out = (folder.path() / "out").string();
  check_refused("export_runs", "no RESULTS given");
  check_refused("export_runs " + results, "--to: found nothing, expected one of tensorboard, csv, parquet");
  check_refused("export_runs " + results + " --to tensorbord --out " + out, "did you mean 'tensorboard'?");
  check_refused("export_runs " + results + " --to csv",
                "--out: found nothing, expected the folder to write to");
  check_refused("export_runs " + results + " --to archive",
                "--out: found nothing, expected the archive to write");
  check_refused("export_runs " + results + " --to archive --out " + out + ".h5",
                "expected one that ends in .archive.h5");
  check_refused("export_runs " + results + " " + results + " --to archive --out " + out + ".archive.h5",
                "expected one folder, for --to archive");
  check_refused("export_runs " + results + "/none --to csv --out " + out, "none");
  std::filesystem::copy(results, folder.path() / "copy", std::filesystem::copy_options::recursive);
  check_refused("export_runs " + results + " " + (folder.path() / "copy").string() + " --to csv --out " + out,
                "expected each run once");
  CHECK_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace attnlab
