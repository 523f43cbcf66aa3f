// Packing, truncation and mixtures from exp.yaml to the run file.
#include "catch.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

int64_t fact(const RunRecord& run, const std::string& name) {
  for (const auto& [key, value] : run.header.provenance)
    if (key == name) return std::get<int64_t>(value);
  return -1;
}

std::vector<double> losses(const TinyExperiment& experiment) {
  std::vector<double> out;
  for (const auto& row : read_run(experiment.file("gqa")).train) out.push_back(row.loss);
  return out;
}

TEST_CASE("what rows cut off is in the run file, in a note and in the dry run") {
  const TinyExperiment experiment;
  const auto dry = experiment.run("--dry-run");
  CHECK_THAT(dry.output, ContainsSubstring("training data: 64 examples, ") &&
                             ContainsSubstring(" longer than a row of 48, ") &&
                             ContainsSubstring(" cut off\n"));
  CHECK_THAT(experiment.run("--dry-run --set 'sweep.data.size=[32, 64]'").output,
             ContainsSubstring("size=32: training data: 32 examples") &&
                 ContainsSubstring("size=64: training data: 64 examples"));
  const auto outcome = experiment.run();
  REQUIRE(outcome.code == 0);
  const RunRecord run = read_run(experiment.file("gqa"));
  CHECK(fact(run, "train_examples") == 64);
  const int64_t tokens = fact(run, "train_tokens"), longer = fact(run, "truncated_examples"),
                lost = fact(run, "truncated_tokens");
  CHECK((longer > 0 && longer <= 64));
  CHECK((lost >= longer && lost < tokens));
  CHECK_THAT(outcome.output,
             ContainsSubstring("gqa seed 0: training data: 64 examples, " + std::to_string(tokens) +
                               " tokens; " + std::to_string(longer) + " longer than a row of 48, " +
                               std::to_string(lost) + " tokens ("));
}

TEST_CASE("isolated documents train, and cut documents lose no token") {
  const TinyExperiment experiment, again, stream, old_name;
  const auto outcome = experiment.run("--set train.packing=isolated");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK(fact(read_run(experiment.file("gqa")), "truncated_tokens") == 0);
  CHECK(fact(read_run(experiment.file("gqa")), "truncated_examples") > 0);
  CHECK_THAT(outcome.output, ContainsSubstring("longer than a row of 48, cut into pieces"));
  REQUIRE(again.run("--set train.packing=isolated").code == 0);
  CHECK(losses(experiment) == losses(again));
  REQUIRE(stream.run("--set train.packing=stream").code == 0);
  REQUIRE(old_name.run("--set train.packing=true").code == 0);
  CHECK(losses(stream) == losses(old_name));
  CHECK(losses(stream) != losses(experiment));
}

TEST_CASE("a mixture trains, and its bad keys end in one line that names file and line") {
  const TinyExperiment experiment;
  const std::string parts =
      "[{weight: 2, kind: word_problems, size: 20, heldout_size: 4}, {weight: 1, kind: code_functions, size: "
      "9}]";
  const auto outcome = experiment.run("--set 'data={mixture: " + parts + "}'");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK(fact(read_run(experiment.file("gqa")), "train_examples") == 29);
  std::string yaml = test::tiny_yaml();
  const std::string data = "data: {kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8}\n";
  const auto with = [&](const std::string& text) {
    std::string changed = yaml;
    return changed.replace(changed.find(data), data.size(), text);
  };
  const auto error = [&](const std::string& text) { return TinyExperiment(with(text)).run().output; };
  CHECK_THAT(error("data:\n  mixture:\n    - {weight: 1, kind: gsm8k}\n"),
             ContainsSubstring("exp.yaml:8: data.mixture.0.path: found nothing"));
  CHECK_THAT(error("data:\n  mixture:\n    - {kind: generated}\n"), ContainsSubstring("weight"));
  CHECK_THAT(error("data:\n  mixture:\n    - {weight: 0}\n"), ContainsSubstring("weight: found '0'"));
  CHECK_THAT(error("data:\n  mixture:\n    - {weight: 1, wight: 1}\n"),
             ContainsSubstring("did you mean 'weight'"));
}

}  // namespace
}  // namespace attnlab
