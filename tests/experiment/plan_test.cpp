#include "experiment/plan/plan.h"

#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "core/files.h"
#include "experiment/plan/sweep.h"
#include "experiment/run/dry_run.h"
#include "experiment/run/shard.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::plan_of;

TEST_CASE("seeds are the outermost loop, then sweep points, then arms") {
  const test::TinyExperiment experiment(test::tiny_yaml_alike() +
                                        "sweep: {train.lr: [1e-3, 1e-2], data.difficulty_max: [1, 2]}\n");
  const Plan plan = plan_of(experiment, {"seeds=[4, 7]"});
  REQUIRE(plan.runs.size() == 2 * 4 * 2);
  std::vector<std::string> files;
  for (const auto& run : plan.runs) files.push_back(std::filesystem::relative(run.file, plan.results).string());
  CHECK(files[0] == "gqa/lr=1e-3,difficulty_max=1/seed4.h5");
  CHECK(files[1] == "orthogonal/lr=1e-3,difficulty_max=1/seed4.h5");
  CHECK(files[2] == "gqa/lr=1e-3,difficulty_max=2/seed4.h5");
  CHECK(files[15] == "orthogonal/lr=1e-2,difficulty_max=2/seed7.h5");
  CHECK(plan.runs[15].config.data.difficulty_max == 2);
  CHECK(plan.runs[15].config.seed == 7);
}

TEST_CASE("an arm overrides train, and a sweep sets what it names") {
  const test::TinyExperiment experiment;
  const Plan plan = plan_of(experiment);
  CHECK(plan.runs[0].config.train.lr == 1e-3);
  CHECK(plan.runs[1].config.train.lr == 2e-3);
  CHECK(plan.runs[1].config.train.steps == 6);
  const test::TinyExperiment sweeping(test::tiny_yaml_alike() + "sweep: {train.lr: [5e-3]}\n");
  CHECK(plan_of(sweeping).runs[1].config.train.lr == 5e-3);
  const test::TinyExperiment arm(test::tiny_yaml() + "sweep: {arms.orthogonal.train.lr: [6e-3]}\n");
  CHECK(plan_of(arm).runs[0].config.train.lr == 1e-3);
  CHECK(plan_of(arm).runs[1].config.train.lr == 6e-3);
}

TEST_CASE("a sweep from the command line: keys with their dots, beside those of the file or in their place") {
  const test::TinyExperiment experiment(test::tiny_yaml_alike());
  const Plan plan = plan_of(experiment, {"sweep.train.lr=[1e-3, 2e-3]"});
  REQUIRE(plan.runs.size() == 4);
  CHECK(plan.runs[0].sweep_point == "lr=1e-3");
  CHECK(plan.runs[2].config.train.lr == 2e-3);
  CHECK(plan_of(experiment, {"sweep.train.lr=[1e-3, 2e-3]", "sweep.data.difficulty_max=[1, 2]"}).runs.size() ==
        8);
  const test::TinyExperiment swept(test::tiny_yaml_alike() +
                                   "sweep: {arms.orthogonal.options.rank: [2, 3], train.steps: [4, 5]}\n");
  const Plan other = plan_of(swept, {"sweep.train.steps=[7]", "sweep.arms.1.options.rank=[1]"});
  REQUIRE(other.runs.size() == 2);
  CHECK(other.runs[1].config.train.steps == 7);
  CHECK(other.runs[1].config.arm.options.get<MlaOrthogonal>().rank == 1);
  CHECK(plan_of(swept, {"sweep={}"}).runs.size() == 2);
}

TEST_CASE("a config that includes another: its keys hold, and paths are looked for beside both") {
  const test::TinyExperiment experiment(test::tiny_yaml());
  write_file_atomic(experiment.folder.path() / "shared/texts/a.txt", "text");
  const auto path = experiment.folder.path() / "over.yaml";
  write_file_atomic(path, "include: exp.yaml\ntrain: {steps: 3}\n");
  const Plan plan = make_plan({.config = path, .overrides = {"train.batch_size=2"}, .results = "r"});
  CHECK(plan.experiment == "tiny");
  REQUIRE(plan.runs.size() == 2);
  CHECK(plan.runs[0].config.train.steps == 3);
  CHECK(plan.runs[0].config.train.batch_size == 2);
  CHECK(plan.runs[0].config.train.sequence_length == 48);
  write_file_atomic(experiment.folder.path() / "shared/base.yaml", "seeds: [3]\n");
  write_file_atomic(path, "include: [exp.yaml, shared/base.yaml]\n");
  const Plan both = make_plan({.config = path, .results = "r"});
  CHECK(both.runs[0].config.seed == 3);
  CHECK(resolve_path(both, "texts") == experiment.folder.path() / "shared/texts");
}

TEST_CASE("a sweep may set an arm's options, by the arm's name") {
  const test::TinyExperiment experiment(test::tiny_yaml() + "sweep: {arms.orthogonal.options.rank: [2, 3]}\n");
  const Plan plan = plan_of(experiment);
  REQUIRE(plan.runs.size() == 4);
  CHECK(plan.runs[1].sweep_point == "rank=2");
  CHECK(plan.runs[1].config.arm.options.get<MlaOrthogonal>().rank == 2);
  CHECK(plan.runs[3].config.arm.options.get<MlaOrthogonal>().rank == 3);
}

TEST_CASE("keys with equal endings keep their whole names in the folder") {
  const Node root = parse_yaml("sweep: {data.seed: [1], base.seed: [2]}", "t");
  CHECK(sweep_points(root)[0].name == "data.seed=1,base.seed=2");
  CHECK(as_file_name("a b/c") == "a_b_c");
}

TEST_CASE("the option --set overrides, arms by number or name, scopes with or without a list") {
  const test::TinyExperiment experiment;
  const Plan plan = plan_of(experiment, {"train.steps=9", "arms.orthogonal.train.lr=0.5",
                                         "arms.0.trainable=all", "arms.1.options.split=left"});
  CHECK(plan.runs[0].config.train.steps == 9);
  CHECK(plan.runs[0].config.train.trainable == std::vector<std::string>{"all"});
  CHECK(plan.runs[1].config.train.lr == 0.5);
  CHECK(plan.runs[1].config.train.trainable == std::vector<std::string>{"attention"});
  CHECK(plan.runs[1].config.arm.options.get<MlaOrthogonal>().split == SingularSplit::left);
}

TEST_CASE("a size sets its keys, below what the option --set says") {
  const test::TinyExperiment experiment(
      test::tiny_yaml() +
      "sizes:\n  small: {train.steps: 2, seeds: [5], arms.orthogonal.train.lr: 4e-3, experiment: tiny_small}\n"
      "  large: {train.steps: 9}\n");
  CHECK(plan_of(experiment).runs[0].config.train.steps == 6);
  const Plan small = plan_of(experiment, {"data.difficulty_max=2", "size=small"});
  REQUIRE(small.runs.size() == 2);
  CHECK(small.experiment == "tiny_small");
  CHECK(small.runs[0].config.train.steps == 2);
  CHECK(small.runs[0].config.seed == 5);
  CHECK(small.runs[1].config.train.lr == 4e-3);
  CHECK(small.runs[0].config.data.difficulty_max == 2);
  CHECK(plan_of(experiment, {"train.steps=3", "size=small"}).runs[0].config.train.steps == 3);
  CHECK(plan_of(experiment, {"sizes.small.train.steps=4", "size=small"}).runs[0].config.train.steps == 4);
  CHECK(plan_of(experiment, {"sizes.small.train.steps=4", "size=small"}).runs[0].config.train.batch_size == 4);
  CHECK(plan_of(experiment, {"size=large"}).runs[0].config.train.steps == 9);
}

TEST_CASE("without a name, the experiment is called after its folder") {
  std::string yaml = test::tiny_yaml();
  yaml.erase(0, yaml.find('\n') + 1);
  const test::TinyExperiment experiment(yaml);
  const Plan plan = make_plan({.config = experiment.config});
  CHECK(plan.experiment == experiment.folder.path().filename());
  CHECK(plan.results == std::filesystem::path("results") / plan.experiment);
}

TEST_CASE("the shards of a plan are disjoint and cover it") {
  for (size_t place = 0; place < 20; ++place) {
    int64_t holders = 0;
    for (int64_t index = 1; index <= 3; ++index) holders += Shard{index, 3}.holds(place);
    CHECK(holders == 1);
  }
  CHECK(parse_shard("2/8").index == 2);
  for (const char* bad : {"0/2", "3/2", "1", "1/", "a/b", "1/2x", ""})
    CHECK_THROWS_WITH(parse_shard(bad), ContainsSubstring("--shard: found '" + std::string(bad) + "'"));
}

TEST_CASE("costs are counted per arm, and unequal arms are warned of") {
  const test::TinyExperiment experiment;
  const Plan plan = plan_of(experiment);
  const auto costs = count_runs(plan);
  REQUIRE(costs.size() == 2);
  // Two layers: q and o 16·16 each, k and v 4·16 each; the up-projections add 16·4 for K and for V.
  CHECK(costs[0].parameters_trainable == 2 * (2 * 256 + 2 * 64));
  CHECK(costs[1].parameters_trainable == costs[0].parameters_trainable + 2 * 2 * 64);
  CHECK(costs[0].cached_numbers_per_token == 2 * 2 * 4);
  CHECK(costs[1].cached_numbers_per_token == 2 * 2 * 4);
  const auto warnings = parameter_warnings(costs);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], ContainsSubstring("gqa has 1.28k, orthogonal has 1.54k (+20 %)"));
  CHECK_THAT(format_costs(plan, costs), ContainsSubstring("gqa/seed0.h5") && ContainsSubstring("to do"));
}

}  // namespace
}  // namespace attnlab
