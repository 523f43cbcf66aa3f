#include "report/disagreements.h"

#include <algorithm>
#include <set>

#include "report/sample_results.h"
#include "report/sections.h"

using namespace attnlab;
using namespace attnlab::report;

namespace {

std::vector<Experiment> grouped(const std::filesystem::path& folder) {
  return group_runs(read_runs(folder, true));
}

}  // namespace

TEST_CASE("disagreements are counted by who is right, at the last evaluation, over seeds") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  const auto experiments = grouped(folder.path());
  const Disagreements found = find_disagreements(experiments[0]);
  CHECK(found.first == "gqa");
  REQUIRE(found.counts.size() == 2);
  // Of problems 0 … 11 gqa misses 0, 3, 6, 9 and mla misses 0, 4, 8; two seeds.
  CHECK(found.counts[1].source == "problems of the runs");
  CHECK(found.counts[1].asked == 24);
  CHECK(found.counts[1].only_first == 4);
  CHECK(found.counts[1].only_arm == 6);
  // Of the tasks 0 … 7 of one seed gqa misses 0, 3, 6 and mla misses 0, 4.
  CHECK(found.counts[0].source == "code_functions, lm_eval");
  CHECK(found.counts[0].asked == 8);
  CHECK(found.counts[0].only_first == 1);
  CHECK(found.counts[0].only_arm == 2);
  CHECK(found.samples.size() == 13);
}

TEST_CASE("samples hold the problem and the reply of each arm of the same seed") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path(), {.hostile_texts = false});
  const auto experiments = grouped(folder.path());
  const Disagreements found = find_disagreements(experiments[0]);
  const auto sample = std::find_if(found.samples.begin(), found.samples.end(), [](const Sample& one) {
    return one.source == "problems of the runs" && one.problem == "4" && one.seed == 1;
  });
  REQUIRE(sample != found.samples.end());
  CHECK(sample->prompt == "\n  Question 4");
  CHECK(sample->gold == "40");
  REQUIRE(sample->replies.size() == 2);
  CHECK(sample->replies[0].arm == "gqa");
  CHECK(sample->replies[0].correct);
  CHECK(sample->replies[0].extracted == "40");
  CHECK(sample->replies[1].text == "  step one\n  step two of mla");
  CHECK_FALSE(sample->replies[1].correct);
}

TEST_CASE("at most as many samples as wanted are chosen, evenly over who is right") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path(), {.problems = 60});
  const auto experiments = grouped(folder.path());
  const Disagreements found = find_disagreements(experiments[0], 10);
  REQUIRE(found.samples.size() == 10);
  CHECK(std::count_if(found.samples.begin(), found.samples.end(),
                      [](const Sample& sample) { return sample.replies[0].correct; }) == 5);
  std::set<std::string> different;
  for (const auto& sample : found.samples)
    different.insert(sample.source + sample.problem + "/" + std::to_string(sample.seed));
  CHECK(different.size() == 10);
}

TEST_CASE("problems with the same number but another prompt are not compared") {
  const test::TemporaryFolder folder;
  test::write_result(folder.path(), {.hostile_texts = false});
  test::write_result(folder.path(), {.arm = "mla", .arm_index = 1, .hostile_texts = true});
  const auto experiments = grouped(folder.path());
  CHECK(find_disagreements(experiments[0]).counts.empty());
}

TEST_CASE("seeds that only one arm has are not compared") {
  const test::TemporaryFolder folder;
  test::write_result(folder.path(), {});
  test::write_result(folder.path(), {.arm = "mla", .arm_index = 1, .seed = 1});
  const auto experiments = grouped(folder.path());
  CHECK(find_disagreements(experiments[0]).counts.empty());
}

TEST_CASE("where files hold no replies that is said, and not that the arms agree") {
  const test::TemporaryFolder folder;
  test::write_result(folder.path(), {});
  test::write_result(folder.path(), {.arm = "mla", .arm_index = 1});
  auto experiments = grouped(folder.path());
  for (auto& run : experiments[0].runs)
    for (auto& row : run.problems) row.output.clear();
  const std::string absent = samples_section(experiments).markup();
  CHECK_THAT(absent,
             ContainsSubstring("is not in the files") && !ContainsSubstring("got the same problems right"));
  for (auto& run : experiments[0].runs)
    for (auto& row : run.problems) row.correct = 1;
  CHECK_THAT(samples_section(experiments).markup(), ContainsSubstring("All arms got the same problems right"));
}
