// train.lr as a map: each arm's rate is chosen on seeds that are not reported.
#include "experiment/rates/rate_selection.h"

#include <thread>

#include "catch.h"
#include "compare/verdict.h"
#include "experiment/run/runner.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::plan_of;

using test::TinyExperiment;

// The arm `orthogonal` keeps its own rate.
std::string yaml_with(const std::string& rate) {
  std::string yaml = test::tiny_yaml();
  const std::string plain = "lr: 1e-3, trainable";
  yaml.replace(yaml.find(plain), plain.size(), "lr: " + rate + ", trainable");
  return yaml;
}

std::filesystem::path selecting(const TinyExperiment& experiment, const std::string& rate, int64_t seed) {
  return experiment.out / "gqa" / "lr_selection" / ("lr=" + rate) / ("select" + std::to_string(seed) + ".h5");
}

double rate_in(const std::filesystem::path& file) {
  for (const auto& [key, value] : read_run(file, false).header.config)
    if (key == "train.lr") return std::get<double>(value);
  return 0;
}

double heldout(const std::filesystem::path& file) {
  return metric_of(read_run(file, false), Metric::heldout_loss);
}

constexpr const char* two_rates = "{sweep: [1e-3, 3e-3], seeds: [100, 101]}";

TEST_CASE("runs that choose rates come first, and differ from the reported ones as they should") {
  const TinyExperiment experiment(yaml_with(two_rates));
  const Plan plan = plan_of(experiment, {"seeds=[0, 1]"});
  REQUIRE(plan.selections.size() == 1);
  REQUIRE(plan.runs.size() == 2 * 2 + 2 * 2);
  CHECK(plan.runs[0].file == selecting(experiment, "0.001", 100));
  CHECK(plan.runs[1].file == selecting(experiment, "0.001", 101));
  CHECK(plan.runs[3].file == selecting(experiment, "0.003", 101));
  for (size_t i = 0; i < 4; ++i) {
    CHECK(plan.runs[i].selects);
    CHECK(plan.runs[i].config.train.lr == (i < 2 ? 1e-3 : 3e-3));
    CHECK(plan.runs[i].config.train.steps == 6);
    CHECK(plan.runs[i].config.eval.problems == 0);
    CHECK(plan.runs[i].config.eval.heldout_examples == 4);
  }
  CHECK(plan.runs[4].rate_is_open);
  CHECK(plan.runs[4].selection == 0);
  CHECK_FALSE(plan.runs[5].rate_is_open);
  CHECK(plan.runs[5].config.train.lr == 2e-3);
  CHECK_FALSE(plan.runs[5].config.lr_selection);
}

TEST_CASE("an arm may have a sweep of its own, and a sweep of the plan does not silence it") {
  const TinyExperiment experiment(yaml_with(two_rates));
  const Plan own = plan_of(experiment, {"arms.orthogonal.train.lr={sweep: [0.5]}"});
  REQUIRE(own.selections.size() == 2);
  CHECK(own.selections[1].rule.sweep == std::vector<double>{0.5});
  CHECK(own.selections[1].rule.seeds == std::vector<int64_t>{100, 101});  // of `train`
  CHECK_THROWS_WITH(plan_of(experiment, {"sweep={train.lr: [7e-3]}"}),
                    ContainsSubstring("which sweep.train.lr overrides"));
  CHECK(plan_of(experiment, {"sweep={data.difficulty_max: [1, 2]}"}).selections.size() == 2);
}

TEST_CASE("bad rules for choosing a rate") {
  const auto refusal = [](const std::string& rate, const std::vector<std::string>& overrides = {}) {
    const TinyExperiment experiment(yaml_with(rate));
    try {
      validate_plan(plan_of(experiment, overrides));
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(refusal(two_rates) == "accepted");
  CHECK_THAT(refusal("{sweep: [1e-3], seeds: [0, 5]}"),
             ContainsSubstring("exp.yaml:11: train.lr.seeds: found 0, which is also in `seeds`"));
  CHECK_THAT(refusal("{sweep: [1e-3, 1e-3], seeds: [5]}"),
             ContainsSubstring("train.lr.sweep: found 0.001 twice"));
  CHECK_THAT(refusal("{sweep: [], seeds: [5]}"), ContainsSubstring("at least one learning rate"));
  CHECK_THAT(refusal("{sweep: [1e-3], seeds: []}"), ContainsSubstring("at least one seed"));
  CHECK_THAT(refusal("{sweep: [0], seeds: [5]}"), ContainsSubstring("a number above 0"));
  CHECK_THAT(refusal("{sweep: [1e-3]}"), ContainsSubstring("train.lr.seeds: found nothing"));
  CHECK_THAT(refusal("{seeds: [5]}"), ContainsSubstring("train.lr.sweep: found nothing"));
  CHECK_THAT(refusal("{sweep: [1e-3], seeds: [5], select_by: heldout_los}"),
             ContainsSubstring("did you mean 'heldout_loss'?"));
  CHECK_THAT(refusal("{sweep: [1e-3], seeds: [5], sweeps: 1}"), ContainsSubstring("did you mean 'sweep'?"));
  CHECK_THAT(refusal(two_rates, {"eval.heldout_examples=0"}),
             ContainsSubstring("train.lr.select_by") && ContainsSubstring("eval.heldout_examples is 0"));
  CHECK(refusal("{sweep: [1e-3], seeds: [5], select_by: training_loss}", {"eval.heldout_examples=0"}) ==
        "accepted");
}

TEST_CASE("the rate with the lowest held-out loss is taken, and told") {
  const TinyExperiment experiment(yaml_with(two_rates));
  const auto outcome = experiment.run();
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const auto mean = [&](const char* rate) {
    return (heldout(selecting(experiment, rate, 100)) + heldout(selecting(experiment, rate, 101))) / 2;
  };
  const double best = mean("0.001") < mean("0.003") ? 1e-3 : 3e-3;
  CHECK(mean("0.001") != mean("0.003"));
  CHECK(rate_in(experiment.file("gqa")) == best);
  CHECK(rate_in(experiment.file("orthogonal")) == 2e-3);
  CHECK_THAT(outcome.output,
             ContainsSubstring("gqa: learning rate " + std::string(best == 1e-3 ? "0.001" : "0.003") +
                               ", chosen from 0.001, 0.003 by heldout_loss on seeds 100, 101") &&
                 ContainsSubstring("of its sweep; a wider sweep may have a better one"));
  // Not in the verdict of the program nor of compare_runs: one run an arm.
  const auto again =
      test::run_program("compare_runs " + experiment.out.string(), experiment.folder.path() / "log2");
  CHECK_THAT(outcome.output, ContainsSubstring(again.output));
  CHECK(read_runs(experiment.out).size() == 2);
  const auto provenance = read_run(experiment.file("gqa"), false).header.provenance;
  CHECK(std::any_of(provenance.begin(), provenance.end(), [](const auto& field) {
    return field.first == "lr_selection" && to_text(field.second).find("0.003 (") != std::string::npos;
  }));
  // What is there is not run again, and a reported run that was lost is made again at the same rate.
  const auto chosen_from = std::filesystem::last_write_time(selecting(experiment, "0.001", 100));
  const auto loss = read_run(experiment.file("gqa")).train.back().loss;
  std::filesystem::remove(experiment.file("gqa"));
  REQUIRE(experiment.run().code == 0);
  CHECK(std::filesystem::last_write_time(selecting(experiment, "0.001", 100)) == chosen_from);
  CHECK(read_run(experiment.file("gqa")).train.back().loss == loss);
  CHECK(rate_in(experiment.file("gqa")) == best);
}

TEST_CASE("a rate at which the loss is not finite is out, without failing the plan") {
  const TinyExperiment experiment(yaml_with("{sweep: [1e-3, 1e38], seeds: [100]}"));
  const auto outcome = experiment.run();
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK(rate_in(experiment.file("gqa")) == 1e-3);
  CHECK_THAT(outcome.output, ContainsSubstring("1e+38 (diverged)"));
  CHECK(read_run(selecting(experiment, "1e+38", 100)).state == RunState::failed);
  CHECK(experiment.run().code == 0);
}

TEST_CASE("where every rate diverges the arm's reported runs fail, and the other arm's are done") {
  const TinyExperiment experiment(yaml_with("{sweep: [1e37, 1e38], seeds: [100]}"));
  const auto outcome = experiment.run();
  INFO(outcome.output);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.output,
             ContainsSubstring("gqa seed 0 failed: no learning rate to choose: 1e+37 (diverged)"));
  CHECK_FALSE(std::filesystem::exists(experiment.file("gqa")));
  CHECK(read_run(experiment.file("orthogonal")).state == RunState::complete);
}

TEST_CASE("a part of a plan whose rates no one chooses does that itself, to the same numbers") {
  const TinyExperiment whole(yaml_with(two_rates)), parts(yaml_with(two_rates));
  REQUIRE(whole.run("--set seeds=[0,1]").code == 0);
  // Four runs that choose, then gqa 0, orthogonal 0, gqa 1, orthogonal 1: this part has gqa 1 and two choosers.
  REQUIRE(parts.run("--set seeds=[0,1] --shard 3/4").code == 0);
  CHECK(std::filesystem::exists(parts.file("gqa", 1)));
  CHECK_FALSE(std::filesystem::exists(parts.file("gqa", 0)));
  for (const char* rate : {"0.001", "0.003"})
    for (const int64_t seed : {100, 101}) CHECK(std::filesystem::exists(selecting(parts, rate, seed)));
  CHECK(read_run(parts.file("gqa", 1)).train.back().loss == read_run(whole.file("gqa", 1)).train.back().loss);
}

TEST_CASE("several processes choose once and agree") {
  const TinyExperiment whole(yaml_with(two_rates)), jobs(yaml_with(two_rates));
  REQUIRE(whole.run("--set seeds=[0,1]").code == 0);
  const auto outcome = jobs.run("--set seeds=[0,1] --jobs 3");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  for (const int64_t seed : {0, 1}) {
    CHECK(rate_in(jobs.file("gqa", seed)) == rate_in(whole.file("gqa", seed)));
    CHECK(read_run(jobs.file("gqa", seed)).train.back().loss ==
          read_run(whole.file("gqa", seed)).train.back().loss);
  }
}

TEST_CASE("the option --dry-run shows the runs that choose") {
  const TinyExperiment experiment(yaml_with(two_rates));
  const auto outcome = experiment.run("--dry-run");
  INFO(outcome.output);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, ContainsSubstring("6 runs") && ContainsSubstring("lr=0.003/select101.h5") &&
                                 ContainsSubstring("to do, once its learning rate is chosen"));
  CHECK_FALSE(std::filesystem::exists(experiment.out));
}

}  // namespace
}  // namespace attnlab
