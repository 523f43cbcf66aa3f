// Arms with a teacher: what the run file says, resuming, teachers that can't be.
#include "catch.h"
#include "run_process.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;
using test::TinyExperiment;

// Two arms that differ in their teacher alone.
std::string taught_yaml() {
  std::string yaml = test::tiny_yaml();
  const std::string arms =
      "  - {name: gqa, variant: gqa}\n  - {name: orthogonal, variant: mla_orthogonal, train: {lr: 2e-3}}\n";
  return yaml.replace(
      yaml.find(arms), arms.size(),
      "  - {name: plain, variant: mla_orthogonal, options: {rank: 2}}\n"
      "  - {name: taught, variant: mla_orthogonal, options: {rank: 2}, train: {distill: {weight: 0.5, "
      "layers: hidden}}}\n");
}

fs::path base_small() { return test::source_dir() / "data" / "base_small"; }

TEST_CASE("a taught run keeps its teacher's loss beside the cross-entropy") {
  const TinyExperiment experiment(taught_yaml());
  const auto outcome = experiment.run();
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const RunRecord plain = read_run(experiment.file("plain")), taught = read_run(experiment.file("taught"));
  CHECK(plain.distillation.empty());
  REQUIRE(taught.distillation.size() == 6);
  REQUIRE(taught.train.size() == 6);
  // The same start and the same tokens: the first loss and the first evaluation are the same numbers.
  CHECK(taught.train[0].loss == Approx(plain.train[0].loss).epsilon(1e-6));
  REQUIRE(taught.evaluations[0].step == 0);
  CHECK(taught.evaluations[0].heldout_loss == plain.evaluations[0].heldout_loss);
  CHECK(taught.train[5].loss != plain.train[5].loss);
  for (size_t i = 0; i < 6; ++i) {
    const DistillationRow& row = taught.distillation[i];
    CHECK(row.step == taught.train[i].step);
    CHECK(row.divergence > 0);
    CHECK(row.layer_distance > 0);
    CHECK(row.objective ==
          Approx(0.5 * row.divergence + 0.5 * taught.train[i].loss + row.layer_distance).epsilon(1e-5));
  }
  const auto& facts = taught.header.provenance;
  CHECK(
      std::any_of(facts.begin(), facts.end(), [](const auto& fact) { return fact.first == "teacher_sha256"; }));
}

TEST_CASE("a taught run that is killed goes on to the numbers of an undisturbed one") {
  const std::vector<std::string> longer{"--set", "train.steps=60"};
  const TinyExperiment undisturbed(taught_yaml()), killed(taught_yaml());
  REQUIRE(undisturbed.run("--set train.steps=60").code == 0);
  test::RunProcess process(killed, longer);
  REQUIRE(test::wait_until([&] { return test::has_rows(killed.file("taught"), 9); }));
  process.kill(SIGKILL);
  process.wait();
  REQUIRE(killed.run("--set train.steps=60").code == 0);
  test::check_equal(read_run(undisturbed.file("taught")), read_run(killed.file("taught")));
}

TEST_CASE("the model of a folder teaches, whatever its sizes") {
  const TinyExperiment experiment(taught_yaml());
  const auto outcome = experiment.run(
      "--set arms.taught.train.distill.layers=none --set train.steps=2 --set "
      "arms.taught.train.distill.teacher=" +
      base_small().string());
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK(read_run(experiment.file("taught")).distillation.size() == 2);
}

// Runs with one more setting and returns the line that it ends in.
std::string refusal(const TinyExperiment& experiment, const std::string& setting) {
  const auto outcome = experiment.run("--set arms.taught.train.distill." + setting);
  INFO(setting << "\n" << outcome.output);
  CHECK(outcome.code == 2);
  CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);
  CHECK_FALSE(fs::exists(experiment.out));
  return outcome.output;
}

TEST_CASE("teachers that can't teach are refused in one line before anything is written") {
  const TinyExperiment experiment(taught_yaml());
  CHECK_THAT(refusal(experiment, "teacher=nowhere"),
             ContainsSubstring("train.distill.teacher: found 'nowhere'") && ContainsSubstring("or base"));
  CHECK_THAT(refusal(experiment, "teacher=" + base_small().string()),
             ContainsSubstring("train.distill.layers: found hidden with a teacher of"));
  CHECK_THAT(refusal(experiment, "teacher=" + base_small().string() + " --set base.init.vocab_size=1030"),
             ContainsSubstring("a teacher of 1024 tokens, expected the student's 1030 tokens"));
  const fs::path other = experiment.folder.path() / "other";
  fs::copy(base_small(), other);
  std::string tokenizer = read_file(other / "tokenizer.json");
  for (size_t at; (at = tokenizer.find("<|eos|>")) != std::string::npos;) tokenizer.replace(at, 7, "<|end|>");
  write_file_atomic(other / "tokenizer.json", tokenizer);
  CHECK_THAT(refusal(experiment, "teacher=" + other.string()),
             ContainsSubstring("another vocabulary, whose token") && ContainsSubstring("'<|end|>'"));
  CHECK_THAT(refusal(experiment, "loss=kl"), ContainsSubstring("forward_kl"));
  CHECK_THAT(refusal(experiment,
                     "top_k_form=partial --set arms.taught.train.distill.top_k=3 --set "
                     "arms.taught.train.distill.loss=jsd"),
             ContainsSubstring("train.distill.top_k_form: found partial"));
}

TEST_CASE("a teacher's keys that have no effect are told") {
  const TinyExperiment experiment(taught_yaml());
  const auto warnings = [&](const std::vector<std::string>& overrides) {
    return test::plan_of(experiment, overrides).warnings;
  };
  CHECK(warnings({}).empty());
  CHECK(warnings({"arms.taught.train.distill.beta=0.1"}) ==
        std::vector<std::string>{"train.distill.beta: 0.1 has no effect: loss forward_kl is not jsd"});
  CHECK(warnings({"arms.taught.train.distill.top_k_form=renormalised"}).size() == 1);
  CHECK(warnings({"arms.taught.train.distill={layer_weight: 2}"}).size() == 1);
}

}  // namespace
}  // namespace attnlab
