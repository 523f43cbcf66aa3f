// Claims in exp.yaml: what --dry-run says of them, their seal in the run files, their verdict.
#include "compare/planned_verdict.h"
#include "core/find_field.h"
#include "experiment/run/claims_dry_run.h"
#include "experiment/run/runner.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

std::string with_claims(const std::string& more = "", const std::string& metric = "heldout_loss") {
  return test::tiny_yaml_alike() + "claims:\n" + more + "  list:\n    - {id: learns_better, metric: " + metric +
         ", arm: orthogonal, against: gqa, expect: lower, matters: 0.5}\n";
}

std::string plan_refusal(const std::string& yaml) {
  try {
    plan_of(TinyExperiment(yaml));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::vector<std::string> names_of(const std::vector<MissingControl>& controls) {
  std::vector<std::string> names;
  for (const auto& control : controls) names.emplace_back(name_of(control.control));
  return names;
}

std::vector<std::string> missing_of(const TinyExperiment& experiment) {
  const Plan plan = plan_of(experiment);
  return names_of(missing_controls(plan, count_runs(plan)));
}

TEST_CASE("a planned claim names an arm and a metric that the runs have") {
  CHECK(plan_refusal(with_claims()) == "accepted");
  CHECK_THAT(plan_refusal(with_claims("", "gsm8k")),
             ContainsSubstring("exp.yaml:16: claims.list[0].metric: found 'gsm8k': no such task") &&
                 ContainsSubstring("training_loss, heldout_loss, accuracy"));
  std::string blind = with_claims();
  blind.replace(blind.find("heldout_examples: 4"), 19, "heldout_examples: 0");
  CHECK_THAT(plan_refusal(blind), ContainsSubstring("eval.heldout_examples is 0"));
  CHECK_THAT(plan_refusal(with_claims("  add: [chosen_rate]\n") + "sweep: {train.lr: [1e-3, 2e-3]}\n"),
             ContainsSubstring("sweep.train.lr: found a sweep beside claims.add: chosen_rate"));
}

TEST_CASE("controls that a plan lacks are named, and those that are asked for are added") {
  const TinyExperiment plain(with_claims());
  CHECK(missing_of(plain) == std::vector<std::string>{"equal_parameters", "chosen_rate"});
  std::string bare = with_claims();
  bare.replace(bare.find("eval: {"), 7, "eval: {before: false, ");
  CHECK(missing_of(TinyExperiment(bare)) ==
        std::vector<std::string>{"untrained_base", "equal_parameters", "chosen_rate"});
  bare.replace(bare.find("claims:\n"), 8, "claims:\n  add: [untrained_base, chosen_rate]\n");
  const TinyExperiment added(bare);
  CHECK(missing_of(added) == std::vector<std::string>{"equal_parameters"});
  const Plan plan = plan_of(added);
  REQUIRE(plan.selections.size() == 2);
  CHECK(plan.selections[0].rule.seeds == std::vector<int64_t>{100, 101});
  CHECK(plan.selections[0].rule.sweep[1] == 1e-3);
}

TEST_CASE("a base that is no arm is added in its own form") {
  std::string yaml = with_claims("  add: [same_training]\n");
  yaml.replace(yaml.find("variant: gqa"), 12, "variant: mla_identity");
  const Plan plan = plan_of(TinyExperiment(yaml));
  CHECK(plan.runs.back().config.arm.name == "gqa_control");
  CHECK(missing_of(TinyExperiment(yaml.erase(yaml.find("  add: [same_training]\n"), 23))).front() ==
        "same_training");
}

TEST_CASE("claims that a setting takes the arms or the metric of are left out, with a line each") {
  const TinyExperiment experiment(with_claims());
  const auto with = [&](std::vector<std::string> settings) {
    return make_plan({.config = experiment.config, .overrides = std::move(settings)});
  };
  const Plan whole = with({"train.steps=3"});
  REQUIRE(whole.claims);
  const Plan less = with({"arms=[{name: gqa, variant: gqa}]"});
  CHECK_FALSE(less.claims);
  CHECK(less.warnings.back() ==
        "claim learns_better is left out: with what was set, the plan has no arm orthogonal");
  const Plan blind = with({"eval.heldout_examples=0"});
  CHECK_FALSE(blind.claims);
  CHECK_THAT(blind.warnings.back(), ContainsSubstring("heldout_loss is not measured"));
  // What is said of claims on the command line itself is refused, and so is what the file never had.
  CHECK_THROWS_WITH(with({"arms=[{name: gqa, variant: gqa}]", "claims.list.0.matters=1"}),
                    ContainsSubstring("claims.list[0].arm"));
  const TinyExperiment typo(test::tiny_yaml_alike() +
                            "claims:\n  list:\n    - {id: a, metric: accuracy, arm: ortho, against: gqa, "
                            "expect: lower, matters: 1}\n");
  CHECK_THROWS_WITH(make_plan({.config = typo.config, .overrides = {"arms=[{name: gqa, variant: gqa}]"}}),
                    ContainsSubstring("claims.list[0].arm"));
}

TEST_CASE("a dry run tells power, needs and the seal, and writes nothing") {
  const TinyExperiment experiment(with_claims());
  const auto ran = experiment.run("--dry-run");
  REQUIRE(ran.code == 0);
  CHECK_THAT(ran.output, ContainsSubstring("heldout_loss of orthogonal lower than gqa") &&
                             ContainsSubstring("10 seeds") &&
                             ContainsSubstring("assumed; nothing was measured") &&
                             ContainsSubstring("missing control equal_parameters") &&
                             ContainsSubstring("device time: not known without claims.earlier") &&
                             ContainsSubstring("no run has begun"));
  CHECK_FALSE(std::filesystem::exists(experiment.out));
}

TEST_CASE("tests of a claims file that say what matters are planned, too") {
  const TinyExperiment experiment(test::tiny_yaml_alike());
  const auto file = experiment.folder.path() / "claims.yaml";
  const auto write = [&](const std::string& more) {
    write_file_atomic(
        file,
        "- id: better\n  sentence: S\n  source: P\n  needed: N\n  command: M\n  test:\n    - runs: "
        "{experiment: "
        "\"tin*\", arm: orthogonal, against: gqa, metric: \"heldout_loss, accuracy, gsm8k*\", expect: lower" +
            more + "}\n");
  };
  const auto plan = [&] {
    return make_plan({.config = experiment.config, .results = experiment.out.string(), .claims = file});
  };
  write(", matters: 0.5, power: 0.9");
  const auto list = plan().claims->claims.list;
  REQUIRE(list.size() == 2);
  CHECK(list[0].metric == "heldout_loss");
  CHECK(list[1].metric == "accuracy");
  CHECK(list[1].power == 0.9);
  write("");
  CHECK_THROWS_WITH(plan(), ContainsSubstring("no test of experiment tiny with `matters`"));
  write(", power: 0.9");
  CHECK_THROWS_WITH(plan(), ContainsSubstring("matters beside it"));
}

TEST_CASE("a plan is sealed into its runs, and a verdict tells when it was planned") {
  const TinyExperiment experiment(with_claims() + "\n");
  const auto first = experiment.run("--set 'seeds=[0, 1]' --set train.steps=2 --set eval.every=0");
  INFO(first.output);
  REQUIRE(first.code == 0);
  CHECK_THAT(first.output, ContainsSubstring("learns_better") && ContainsSubstring("planned before the data"));
  const RunRecord run = read_run(experiment.file("orthogonal"));
  const auto* text = find_field<std::string>(run.header.provenance, plan_text_key);
  const auto* hash = find_field<std::string>(run.header.provenance, plan_hash_key);
  REQUIRE(text);
  REQUIRE(hash);
  CHECK(*hash == sha256(*text));
  const SealedClaims sealed = read_sealed(*text, "file");
  CHECK(sealed.seeds == std::vector<int64_t>{0, 1});
  // Another smallest difference, once the runs are there.
  const auto later = experiment.run(
      "--set 'seeds=[0, 1]' --set train.steps=2 --set eval.every=0 --set claims.list.0.matters=0.4");
  REQUIRE(later.code == 0);
  CHECK_THAT(later.output, ContainsSubstring("planned after the data: 0 of 4 runs carry this plan"));
  const auto compared =
      test::run_program("compare_runs " + experiment.out.string(), experiment.folder.path() / "log2");
  CHECK_THAT(compared.output, ContainsSubstring("planned before the data"));
  // Its runs tell a later plan how they scattered, and how long they took.
  const auto dry = experiment.run("--dry-run --set train.steps=2 --set eval.every=0 --set claims.earlier=" +
                                  experiment.out.string());
  CHECK_THAT(dry.output, ContainsSubstring("measured on 2 seeds of") && ContainsSubstring("device time: ") &&
                             ContainsSubstring("for 2 runs") &&
                             ContainsSubstring("2 runs have begun before this call"));
}

}  // namespace
}  // namespace attnlab
