// The artifact: values with tolerances, the check, and the texts that run files fill.
#include "report/artifact.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/errors.h"
#include "programs/run_program.h"
#include "report/sample_results.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

// Two arms with three seeds, and a run that failed.
struct ArtifactRuns {
  test::TemporaryFolder folder;
  std::vector<RunRecord> runs;
  ArtifactRuns() {
    for (const auto& [arm, index] : {std::pair{"gqa", 0}, {"mla", 1}})
      for (int64_t seed = 0; seed < 3; ++seed)
        test::write_result(folder.path(), {.arm = arm, .arm_index = index, .seed = seed});
    test::write_result(folder.path(), {.arm = "mla", .arm_index = 1, .seed = 7, .state = RunState::failed});
    runs = read_runs(folder.path());
  }
  const ArtifactValue* find(const std::vector<ArtifactValue>& values, const std::string& against,
                            const std::string& metric) const {
    for (const auto& value : values)
      if (value.arm == "mla" && value.against == against && value.metric == metric) return &value;
    return nullptr;
  }
};

std::string text_in(const std::vector<std::pair<std::string, std::string>>& files, const std::string& name) {
  for (const auto& [file, text] : files)
    if (file == name) return text;
  return "";
}

TEST_CASE("values are means over seeds and differences, with the tolerance of a repetition") {
  const ArtifactRuns sample;
  const auto values = artifact_values(sample.runs, "/nowhere");
  const ArtifactValue* value = sample.find(values, "gqa", "training loss");
  REQUIRE(value);
  std::vector<double> differences;
  for (int64_t seed = 0; seed < 3; ++seed) {
    double pair[2] = {0, 0};
    for (const auto& run : sample.runs)
      if (run.header.seed == seed) pair[run.header.arm == "mla"] = metric_of(run, Metric::training_loss);
    differences.push_back(pair[1] - pair[0]);
  }
  const Interval interval = mean_interval(differences);
  CHECK(value->value == Approx(interval.value));
  CHECK(value->tolerance == Approx(std::sqrt(2.0) * interval.half_width()));
  CHECK(value->seeds == 3);
  CHECK(value->tier == 1);
  CHECK(value->figure == "ablation");
  CHECK(value->minutes > 0);
  CHECK_THAT(value->command, ContainsSubstring("run_ablation --config"));
}

TEST_CASE("values go through a file, which is refused where it is wrong") {
  const ArtifactRuns sample;
  const auto values = artifact_values(sample.runs, "/nowhere");
  const auto file = sample.folder.path() / "expected.jsonl";
  std::ofstream(file) << values_as_jsonl(values);
  const auto again = read_values(file);
  REQUIRE(again.size() == values.size());
  for (size_t i = 0; i < values.size(); ++i) CHECK(fields_equal(values[i], again[i]));
  std::ofstream(file) << "{\"claim\": \"\", \"experiment\": \"e\"}\n";
  try {
    read_values(file);
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK_THAT(std::string(error.what()), ContainsSubstring("expected.jsonl:1: sweep_point"));
  }
}

TEST_CASE("a check finds the values inside, one that moved, and one that is gone") {
  const ArtifactRuns sample;
  auto expected = artifact_values(sample.runs, "/nowhere");
  const auto outside = [&] {
    const auto checked = check_values(expected, sample.runs);
    return std::count_if(checked.begin(), checked.end(), [](const auto& value) { return !value.inside(); });
  };
  CHECK(outside() == 0);
  auto moved =
      std::find_if(expected.begin(), expected.end(), [](const auto& value) { return value.tolerance > 0; });
  REQUIRE(moved != expected.end());
  moved->value += 1.1 * moved->tolerance;
  CHECK(outside() == 1);
  expected.back().arm = "gone";
  CHECK(outside() == 2);
  CHECK_THAT(format_checked(check_values(expected, sample.runs)),
             ContainsSubstring("OUTSIDE") && ContainsSubstring("nothing"));
}

TEST_CASE("the artifact's texts tell failed runs, device time and what a person must fill in") {
  const ArtifactRuns sample;
  const DeviceTime time = device_time(sample.runs);
  CHECK(time.runs == 7);
  CHECK(time.failed_runs == 1);
  CHECK(time.failed > 0);
  const auto files = artifact_files({.runs = sample.runs, .claims = {}});
  CHECK_THAT(text_in(files, "README.md"),
             ContainsSubstring("training loss of mla minus gqa") && ContainsSubstring("no claim was planned"));
  CHECK_THAT(text_in(files, "ENVIRONMENT.md"),
             ContainsSubstring("0123abcd") && ContainsSubstring("in 1 failed"));
  CHECK_THAT(text_in(files, "METHODS.md"), ContainsSubstring("mla seed 7: failed") &&
                                               ContainsSubstring("nothing was searched") &&
                                               ContainsSubstring("to be filled in"));
  CHECK_THAT(text_in(files, "CHECKLIST.md"), ContainsSubstring("error bars") && ContainsSubstring("Some CPU"));
  CHECK_FALSE(text_in(files, "configs/sample-mla.yaml").empty());
  CHECK(artifact_files({.runs = sample.runs, .claims = {}}) == files);
}

TEST_CASE("make_artifact writes a folder, and its check exits non-zero where a value lies outside") {
  const ArtifactRuns sample;
  const auto out = sample.folder.path() / "artifact";
  const std::string results =
      (sample.folder.path() / "gqa").string() + " " + (sample.folder.path() / "mla").string();
  const auto made = test::run_program("make_artifact " + results + " --out " + out.string());
  INFO(made.err);
  REQUIRE(made.code == 0);
  CHECK(fs::exists(out / "results" / "mla.archive.h5"));
  const std::string check = "make_artifact " + results + " --check " + (out / "expected.jsonl").string();
  CHECK(test::run_program(check).code == 0);
  auto values = read_values(out / "expected.jsonl");
  for (auto& value : values) value.value += 10;
  std::ofstream(out / "expected.jsonl") << values_as_jsonl(values);
  const auto failed = test::run_program(check);
  CHECK(failed.code == 1);
  CHECK_THAT(failed.out, ContainsSubstring("OUTSIDE"));
  test::check_refused("make_artifact " + results + " --out " + out.string(), "which is not empty");
  test::check_refused("make_artifact " + results, "one of the two");
  test::check_refused("make_artifact --out x", "no RESULTS given");
}

}  // namespace
}  // namespace attnlab
