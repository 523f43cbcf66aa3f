// The program as a user runs it.
#include <map>
#include <set>

#include "../results/event_reader.h"
#include "catch.h"
#include "results/run_events.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

TEST_CASE("an experiment runs to a verdict, and what is complete is not run again") {
  const TinyExperiment experiment;
  const auto first = experiment.run();
  INFO(first.output);
  REQUIRE(first.code == 0);
  CHECK_THAT(first.output, ContainsSubstring("held-out loss") && ContainsSubstring("orthogonal") &&
                               ContainsSubstring("converted to mla_orthogonal"));
  const RunRecord run = read_run(experiment.file("orthogonal"));
  CHECK(run.state == RunState::complete);
  CHECK(run.last_step == 6);
  REQUIRE(run.train.size() == 6);
  for (size_t i = 0; i < 6; ++i) {
    CHECK(run.train[i].step == static_cast<int64_t>(i) + 1);
    CHECK(run.train[i].loss > 0);
    CHECK(run.train[i].gradient_norm > 0);
    CHECK(run.train[i].tokens > (i == 0 ? 0 : run.train[i - 1].tokens));
  }
  REQUIRE(run.evaluations.size() == 3);
  CHECK(run.evaluations[1].step == 3);
  CHECK(run.problems.size() == 3 * 3);
  CHECK_FALSE(std::filesystem::exists(experiment.out / "orthogonal" / "seed0.state.safetensors"));
  const auto written = std::filesystem::last_write_time(experiment.file("orthogonal"));
  CHECK(experiment.run().code == 0);
  CHECK(std::filesystem::last_write_time(experiment.file("orthogonal")) == written);
}

TEST_CASE("log: tensorboard writes each row and evaluation while the run goes on, and changes no result") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run("--set log=tensorboard").code == 0);
  const RunRecord run = read_run(experiment.file("orthogonal"));
  const auto path = experiment.out / "tensorboard" / event_path(run);
  REQUIRE(std::filesystem::exists(path));
  std::map<int64_t, std::set<std::string>> tags;
  const auto records = test::read_records(read_file(path));
  for (size_t i = 3; i < records.size(); ++i) {  // behind version and texts
    const auto event = test::read_event(records[i]);
    for (const auto& [tag, value] : event.scalars) tags[event.step].insert(tag);
  }
  for (const auto& row : run.train) CHECK(tags[row.step].count("train/loss") == 1);
  for (const auto& row : run.evaluations) CHECK(tags[row.step].count("heldout/loss") == 1);
  // The same config without a log is the same run: nothing is done again.
  const auto written = std::filesystem::last_write_time(experiment.file("orthogonal"));
  CHECK(experiment.run().code == 0);
  CHECK(std::filesystem::last_write_time(experiment.file("orthogonal")) == written);
  const auto refused = experiment.run("--set 'log=[tensorbord]'");
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output,
             ContainsSubstring("log[0]: found 'tensorbord'") && ContainsSubstring("tensorboard"));
}

TEST_CASE("a run file says where its numbers come from") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run().code == 0);
  const RunHeader header = read_run(experiment.file("orthogonal")).header;
  CHECK(header.variant == "mla_orthogonal");
  CHECK(header.arm_index == 1);
  CHECK(header.parameters_trainable == 1536);
  CHECK(header.cached_numbers_per_token == 16);
  const auto has = [](const FlatFields& fields, const char* key) {
    return std::any_of(fields.begin(), fields.end(), [&](const auto& field) { return field.first == key; });
  };
  for (const char* key : {"train.lr", "arm.options.split", "data.kind", "base.init.d_model", "seed"}) {
    INFO(key);
    CHECK(has(header.config, key));
  }
  for (const char* key : {"revision", "torch", "hdf5", "cpu", "threads", "weights_sha256", "data_sha256"}) {
    INFO(key);
    CHECK(has(header.provenance, key));
  }
  REQUIRE(has(header.conversion, "max_logit_difference"));
  // 2 layers of width 16 in float32, logits of size 0.1: far below 1e-5, and not exactly 0 after an SVD.
  const double difference = std::get<double>(header.conversion[0].second);
  CHECK((difference > 0 && difference < 1e-5));
  CHECK_THAT(header.resolved_yaml, ContainsSubstring("steps: 6"));
}

TEST_CASE("all arms see the same tokens, and exact conversions start at the same loss") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run("--set arms.orthogonal.train.lr=1e-3").code == 0);
  const RunRecord a = read_run(experiment.file("gqa")), b = read_run(experiment.file("orthogonal"));
  for (size_t i = 0; i < a.train.size(); ++i) CHECK(a.train[i].tokens == b.train[i].tokens);
  CHECK(a.train[0].loss == Approx(b.train[0].loss).epsilon(1e-5));
  CHECK(a.train[5].loss != b.train[5].loss);
  CHECK(a.evaluations[0].heldout_loss == Approx(b.evaluations[0].heldout_loss).epsilon(1e-5));
}

TEST_CASE("the option --dry-run prints the plan and writes nothing") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run("--dry-run");
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, ContainsSubstring("2 runs") && ContainsSubstring("trainable parameters differ") &&
                                 ContainsSubstring("1.54k") &&
                                 ContainsSubstring("trained weights: kept beside each run, seedN.model"));
  CHECK_FALSE(std::filesystem::exists(experiment.out));
  CHECK_THAT(experiment.run("--dry-run --set train.save_model=false").output,
             ContainsSubstring("trained weights: thrown away (train.save_model: true keeps them)"));
  CHECK_THAT(experiment.run("--dry-run --set arms.gqa.train.save_model=false").output,
             ContainsSubstring("trained weights: of 1 of 2 runs kept"));
  CHECK_THAT(experiment.run("--dry-run --set train.decay_share=0.5").output,
             ContainsSubstring("warning: train.decay_share: 0.5 has no effect"));
  CHECK(experiment.run("--dry-run --lr-range-test").code == 2);
  // In one stream warnings stand behind the plan, not in its lines.
  const std::string both = experiment.run("--dry-run 2>&1 | cat").output;
  CHECK(both.find("\nwarning: trainable parameters differ") > both.find("trained weights:"));
}

TEST_CASE("small trained weights are kept unless they are not wanted, which makes no other config of a run") {
  const TinyExperiment experiment;
  const auto first = experiment.run("--set train.save_model=false");
  REQUIRE(first.code == 0);
  CHECK_FALSE(std::filesystem::exists(experiment.out / "gqa/seed0.model"));
  CHECK(experiment.run().code == 0);
  std::filesystem::remove(experiment.file("gqa"));
  const auto again = experiment.run();
  INFO(again.output);
  CHECK(again.code == 0);
  CHECK(std::filesystem::exists(experiment.out / "gqa/seed0.model/model.safetensors"));
  CHECK_THAT(again.output, ContainsSubstring("gqa seed 0: trained weights in "));
}

TEST_CASE("shards and jobs do each run once and give the same numbers") {
  const TinyExperiment whole, parts;
  REQUIRE(whole.run("--set seeds=[0,1]").code == 0);
  REQUIRE(parts.run("--set seeds=[0,1] --shard 2/2").code == 0);
  CHECK_FALSE(std::filesystem::exists(parts.file("gqa")));
  CHECK(std::filesystem::exists(parts.file("orthogonal")));
  const auto jobs = parts.run("--set seeds=[0,1] --jobs 2");
  INFO(jobs.output);
  REQUIRE(jobs.code == 0);
  for (const char* arm : {"gqa", "orthogonal"})
    for (const int64_t seed : {0, 1}) {
      const RunRecord a = read_run(whole.file(arm, seed)), b = read_run(parts.file(arm, seed));
      REQUIRE(b.state == RunState::complete);
      for (size_t i = 0; i < a.train.size(); ++i) CHECK(a.train[i].loss == b.train[i].loss);
    }
}

TEST_CASE("a trained gqa arm is saved as a checkpoint that a further experiment starts from") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run("--set train.save_model=true --set 'arms=[{name: gqa, variant: gqa}]'").code == 0);
  const auto model = experiment.out / "gqa" / "seed0.model";
  REQUIRE(std::filesystem::exists(model / "tokenizer.json"));
  const TinyExperiment next;
  const auto outcome = next.run("--set 'base={path: " + model.string() + "}'");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const auto before = read_run(experiment.file("gqa")).evaluations.back();
  CHECK(read_run(next.file("gqa")).evaluations.front().heldout_loss ==
        Approx(before.heldout_loss).epsilon(1e-6));
}

TEST_CASE("compare_runs prints the same verdict from the files") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run("--set seeds=[0,1]");
  REQUIRE(outcome.code == 0);
  const auto again =
      test::run_program("compare_runs " + experiment.out.string(), experiment.folder.path() / "log2");
  CHECK(again.code == 0);
  CHECK_THAT(outcome.output, ContainsSubstring(again.output));
}

}  // namespace
}  // namespace attnlab
