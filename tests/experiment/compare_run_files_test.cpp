// scripts/compare_run_files.py, which the kill test and the trial of Slurm rest on, can say no.
#include <cmath>

#include "catch.h"
#include "python.h"
#include "results/run_file.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

test::Ran compare(const std::string& python, const TinyExperiment& a, const TinyExperiment& b) {
  const std::string log = (a.folder.path() / "compare.log").string();
  const int status =
      std::system((python + " " + (test::source_dir() / "scripts/compare_run_files.py").string() + " " +
                   a.out.string() + " " + b.out.string() + " >" + log + " 2>&1")
                      .c_str());
  return {.code = WEXITSTATUS(status), .output = read_file(log)};
}

TEST_CASE("the comparison of run files finds the same runs equal, and one changed bit, row or file") {
  const std::string python = test::python_with_h5py();
  if (python.empty()) SKIP_TEST("no Python with h5py (set ATTNLAB_PYTHON)");
  const TinyExperiment a, b;
  REQUIRE(a.run().code == 0);
  REQUIRE(b.run().code == 0);
  const auto same = compare(python, a, b);
  INFO(same.output);
  CHECK(same.code == 0);
  CHECK_THAT(same.output, ContainsSubstring("equal: 2 run files"));
  const RunRecord whole = read_run(b.file("gqa"));
  const auto change = [&](const auto& action) {
    {
      RunWriter writer = RunWriter::resume(b.file("gqa"));
      action(writer);
    }
    return compare(python, a, b).output;
  };
  CHECK_THAT(change([](RunWriter&) {}), ContainsSubstring("not complete"));
  CHECK_THAT(change([&](RunWriter& writer) {
               TrainRow row = whole.train[3];
               row.loss = std::nextafter(row.loss, 0.0);
               writer.put_train(row);
               writer.set_status(RunState::complete, whole.last_step);
             }),
             ContainsSubstring("different: gqa/seed0.h5/train: row 3, loss"));
  CHECK_THAT(change([&](RunWriter& writer) {
               writer.put_train(whole.train[3]);
               TrainRow row = whole.train.back();
               ++row.step;
               writer.put_train(row);
               writer.set_status(RunState::complete, whole.last_step);
             }),
             ContainsSubstring("different: gqa/seed0.h5/train: (6,)"));
  std::filesystem::remove(b.file("gqa"));
  CHECK_THAT(compare(python, a, b).output,
             ContainsSubstring("gqa/seed0.h5") && ContainsSubstring("one folder only"));
  std::filesystem::remove_all(b.out);
  CHECK(compare(python, a, b).code == 2);
}

}  // namespace
}  // namespace attnlab
