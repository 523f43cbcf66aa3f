// A run's file as a config: the run again, to the bit.
#include "catch.h"
#include "config/document.h"
#include "results/run_reader.h"
#include "run_process.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

// run_ablation --config FILE into a folder of its own.
test::Ran repeat(const TinyExperiment& experiment, const std::filesystem::path& file,
                 const std::string& arguments = "") {
  return test::run_program("run_ablation --config " + file.string() + " --out " +
                               (experiment.folder.path() / "again").string() + " " + arguments,
                           experiment.folder.path() / "log");
}

TEST_CASE("a run is repeated from its file alone") {
  const TinyExperiment experiment(test::tiny_yaml_alike() + "sweep: {data.difficulty_max: [1, 2]}\n");
  REQUIRE(experiment
              .run("--set 'arms.orthogonal.layers=[{of: 1, variant: mla_v2}]' "
                   "--set 'eval.tasks=[{task: word_problems, size: 2, max_new_tokens: 4}]' "
                   "--set 'train.lr={sweep: [1e-3, 2e-3], seeds: [100]}'")
              .code == 0);
  const auto file = experiment.out / "orthogonal/difficulty_max=2/seed0.h5";
  std::filesystem::remove(experiment.config);
  const auto outcome = repeat(experiment, file);
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const RunRecord before = read_run(file),
                  after = read_run(experiment.folder.path() / "again/orthogonal/difficulty_max=2/seed0.h5");
  test::check_equal(before, after);
  CHECK(after.header.sweep_point == before.header.sweep_point);
  CHECK(after.header.variant == before.header.variant);
  FlatFields expected = before.header.config;
  std::erase_if(expected, [](const auto& field) { return field.first.starts_with("lr_selection"); });
  CHECK(differences(expected, after.header.config) == std::vector<std::string>{});
  CHECK(outcome.output.find("is another than") == std::string::npos);
}

TEST_CASE("the plan of a run's file: one arm, one seed, and keys that are set on top") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run("--set seeds=[3] --set train.steps=2").code == 0);
  const Plan plan = make_plan({.config = experiment.file("orthogonal", 3), .overrides = {"train.steps=1"}});
  REQUIRE(plan.runs.size() == 1);
  CHECK(plan.results == std::filesystem::path("results/tiny_repeat"));
  CHECK(plan.runs[0].config.seed == 3);
  CHECK(plan.runs[0].config.train.steps == 1);
  CHECK(plan.runs[0].config.train.lr == 2e-3);
  CHECK(plan.runs[0].config.arm.name == "orthogonal");
  const auto other = repeat(experiment, experiment.file("orthogonal", 3), "--set data.seed=5");
  INFO(other.output);
  CHECK(other.code == 0);
  CHECK_THAT(other.output, ContainsSubstring("data_sha256 is another than that of the run which is repeated"));
}

TEST_CASE("lists of older files, whose items are keys, are read") {
  const Node root = parse_yaml("a:\n  layers[0]:\n    of: 1\n  layers[1]:\n    of: 2\n  x: 3\n", "t");
  Node copy = root;
  gather_lists(copy);
  CHECK(find_path(copy, "a.layers.1.of")->text == "2");
  CHECK(find_path(copy, "a.x")->text == "3");
}

TEST_CASE("a file of HDF5 that is no run is refused in one line") {
  const TinyExperiment experiment;
  write_file_atomic(experiment.config, std::string("\x89HDF\r\n\x1a\n") + "no more");
  const auto outcome = experiment.run();
  INFO(outcome.output);
  CHECK(outcome.code != 0);
  CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);
}

}  // namespace
}  // namespace attnlab
