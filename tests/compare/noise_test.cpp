#include "compare/noise.h"

#include <cmath>

#include "catch.h"
#include "core/errors.h"
#include "results/evaluation_file.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

TaskRecord task_with(const std::string& label, const std::vector<int64_t>& right) {
  TaskRecord task{.label = label};
  std::vector<JudgementRow> rows;
  for (size_t i = 0; i < right.size(); ++i) {
    task.replies.push_back({.problem = static_cast<int64_t>(i), .id = "p", .text = "t"});
    rows.push_back({.problem = static_cast<int64_t>(i), .correct = right[i]});
  }
  task.judgements.emplace_back("plain", rows);
  return task;
}

void write_level(const fs::path& path, const std::vector<TaskRecord>& tasks) {
  EvaluationRecord record;
  record.tasks = tasks;
  fs::create_directories(path.parent_path());
  write_evaluation(path, record);
}

const NoiseComponent* component(const std::vector<NoiseComponent>& all, const std::string& factor) {
  for (const auto& one : all)
    if (one.factor == factor) return &one;
  return nullptr;
}

TEST_CASE("a factor's component is the deviation of the score over its levels") {
  const test::TemporaryFolder folder;
  const auto& root = folder.path();
  write_level(root / "sampling" / "0.h5", {task_with("t", {1, 1, 0, 0})});
  write_level(root / "sampling" / "1.h5", {task_with("t", {1, 1, 1, 0})});
  write_level(root / "sampling" / "2.h5", {task_with("t", {1, 0, 0, 0})});
  write_level(root / "sampling" / "3.h5", {task_with("t", {1, 0, 0})});  // other problems
  write_level(root / "batch" / "1.h5", {task_with("t", {1, 1, 0, 0})});
  write_level(root / "batch" / "8.h5", {task_with("t", {1, 1, 0, 0})});
  write_level(root / "prompt" / "all.h5", {task_with("t@a", {1, 1, 1, 1}), task_with("t@b", {0, 0, 0, 0})});
  const auto all = noise_components(root);
  REQUIRE(all.size() == 4);
  const NoiseComponent* sampling = component(all, "sampling");
  CHECK(sampling->levels == 3);
  CHECK(sampling->sd.value == Approx(25));                                   // 50, 75, 25 %
  CHECK(sampling->sd.low == Approx(25 * std::sqrt(2 / 7.377758908227871)));  // scipy.stats.chi2.ppf(0.975, 2)
  CHECK(sampling->flips == 0.5);
  CHECK(component(all, "batch")->sd.value == 0);
  CHECK_FALSE(component(all, "batch")->sd.has_ends());
  CHECK(component(all, "prompt")->sd.value == Approx(std::sqrt(5000.0)));
  CHECK(component(all, "problem")->sd.value == Approx(100 * std::sqrt(1.0 / 3 / 4)));
  double shares = 0;
  for (const auto& one : all) shares += one.share;
  CHECK(shares == Approx(1));
  CHECK(noise_grid(all).lines.size() == 5);
}

TEST_CASE("a folder without evaluations is refused") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(noise_components(folder.path()), ContainsSubstring("no evaluation"));
  CHECK_THROWS_WITH(noise_components(folder.path() / "none"), ContainsSubstring("no folder"));
}

}  // namespace
}  // namespace attnlab
