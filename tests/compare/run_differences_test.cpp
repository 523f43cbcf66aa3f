#include "compare/run_differences.h"

#include "catch.h"
#include "compare/curve_comparison.h"
#include "sample_curves.h"

namespace attnlab {
namespace {

std::vector<const RunRecord*> pointers(const std::vector<RunRecord>& runs) {
  std::vector<const RunRecord*> out;
  for (const auto& run : runs) out.push_back(&run);
  return out;
}

void set(RunRecord& run, const std::string& key, const FieldValue& value) {
  run.header.config.emplace_back(key, value);
}

TEST_CASE("configs differ in the keys whose values differ between arms, but not in seeds and names") {
  auto runs = test::curve_runs();
  CHECK(config_differences(pointers(runs)).empty());
  for (auto& run : runs) set(run, "train.lr", run.header.arm == "a" ? 1e-4 : 3e-4);
  for (auto& run : runs) set(run, "data.size", int64_t{64});
  set(runs[2], "arm.options.rank", int64_t{8});
  set(runs[3], "arm.options.rank", int64_t{8});
  CHECK(config_differences(pointers(runs)) ==
        std::vector<std::string>{"train.lr: 0.0001 (a), 0.0003 (b)", "arm.options.rank: 8 (b)"});
}

TEST_CASE("a key that is swept alike in all arms is no difference, and one that is not shows all values") {
  std::vector<RunRecord> runs;
  for (const char* arm : {"a", "b"})
    for (const double rate : {1e-4, 3e-4}) {
      runs.push_back(test::curve_run({.arm = arm, .arm_index = arm[0] - 'a'}));
      set(runs.back(), "train.lr", rate);
    }
  CHECK(config_differences(pointers(runs)).empty());
  runs.push_back(test::curve_run({.arm = "b", .arm_index = 1}));
  set(runs.back(), "train.lr", 1e-3);
  CHECK(config_differences(pointers(runs)) ==
        std::vector<std::string>{"train.lr: 0.0001 | 0.0003 (a), 0.0001 | 0.0003 | 0.001 (b)"});
}

TEST_CASE("runs of several experiments are called by both names") {
  std::vector<RunRecord> runs{test::curve_run({}), test::curve_run({.experiment = "f"})};
  set(runs[0], "train.lr", 1.0);
  set(runs[1], "train.lr", 2.0);
  CHECK(config_differences(pointers(runs)).at(0) == "train.lr: 1 (e/a), 2 (f/a)");
}

TEST_CASE("machines and revisions are told apart, within an arm, too") {
  auto runs = test::curve_runs();
  for (auto& run : runs)
    run.header.provenance = {{"device_name", std::string(run.header.seed == 0 ? "H100" : "H200")},
                             {"revision", std::string("abc")},
                             {"started", std::string(run.header.arm)}};
  CHECK(provenance_differences(pointers(runs)) == std::vector<std::string>{"device_name: H100 | H200 (a, b)"});
}

TEST_CASE("verdict and curves warn of arms with other data or another base") {
  auto runs = test::curve_runs();
  const auto give = [](RunRecord& run, const char* data, const char* weights) {
    run.header.provenance = {{"data_sha256", std::string(data)}, {"weights_sha256", std::string(weights)}};
  };
  for (auto& run : runs) give(run, "d1", "w1");
  CHECK(compare_arms(runs).warnings.empty());
  CHECK(compare_curves(runs, "loss", {}).warnings.empty());
  for (size_t i : {size_t{2}, size_t{3}}) give(runs[i], "d2", "w1");
  const std::vector<std::string> expected{"b has other data than a: data_sha256 is d2 against d1"};
  CHECK(compare_arms(runs).warnings == expected);
  CHECK(compare_curves(runs, "loss", {}).warnings == expected);
  for (size_t i : {size_t{2}, size_t{3}}) give(runs[i], "d1", "w2");
  CHECK_THAT(compare_arms(runs).warnings.at(0), ContainsSubstring("b has another base than a"));
  for (size_t i : {size_t{2}, size_t{3}}) runs[i].header.provenance.clear();
  CHECK(compare_arms(runs).warnings.empty());
}

}  // namespace
}  // namespace attnlab
