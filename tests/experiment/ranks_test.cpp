// Runs that several processes make together, started by --ranks.
#include <signal.h>

#include <cstdlib>
#include <fstream>

#include "catch.h"
#include "core/random.h"
#include "results/evaluation_file.h"
#include "results/run_reader.h"
#include "run_process.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::check_equal, test::RunProcess, test::TinyExperiment, test::wait_until;

// Micro-batches of which each rank takes its own, so that sums have the bits of one process; gradients are not
// cut.
std::string shared_yaml(int64_t steps = 6) {
  std::string yaml = test::tiny_yaml();
  const auto replace = [&](const std::string& from, const std::string& to) {
    yaml.replace(yaml.find(from), from.size(), to);
  };
  replace("steps: 6, batch_size: 4",
          "steps: " + std::to_string(steps) + ", batch_size: 2, micro_batches: 2, clip_norm: 0");
  return yaml;
}

// Processes whose parent is `parent`. Torch names the main thread of a rank after its own work.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string line;
    if (!std::getline(file, line) || line.find(')') == std::string::npos) continue;
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    char state = 0;
    pid_t of = 0;
    rest >> state >> of;
    if (of == parent && state != 'Z')
      found.push_back(static_cast<pid_t>(std::stol(entry.path().filename().string())));
  }
  return found;
}

struct Deadlines {
  Deadlines() { setenv("ATTNLAB_RANK_SILENCE", "5", 1); }
  ~Deadlines() { unsetenv("ATTNLAB_RANK_SILENCE"); }
};

TEST_CASE("two ranks make the run that one makes, bit for bit, with one file and one verdict") {
  const Deadlines deadlines;
  const TinyExperiment alone(shared_yaml()), two(shared_yaml()), sharded(shared_yaml());
  REQUIRE(alone.run().code == 0);
  const auto ran = two.run("--ranks 2");
  INFO(ran.output);
  REQUIRE(ran.code == 0);
  REQUIRE(sharded.run("--ranks 2 --set train.shard=optimizer").code == 0);
  for (const std::string arm : {"gqa", "orthogonal"}) {
    const auto expected = read_run(alone.file(arm));
    for (const auto* other : {&two, &sharded}) {
      const auto run = read_run(other->file(arm));
      REQUIRE(run.train.size() == expected.train.size());
      for (size_t i = 0; i < run.train.size(); ++i) {
        CHECK(run.train[i].loss == Approx(expected.train[i].loss).epsilon(1e-6));
        CHECK(run.train[i].gradient_norm == Approx(expected.train[i].gradient_norm).epsilon(1e-5));
        CHECK(run.train[i].tokens == expected.train[i].tokens);
      }
      CHECK(run.evaluations.back().heldout_loss == expected.evaluations.back().heldout_loss);
    }
  }
  CHECK(ran.output.find("Interval") == ran.output.rfind("Interval"));
}

TEST_CASE("parameters in parts make the run that whole ones make, bit for bit, saved weights too") {
  const Deadlines deadlines;
  for (const std::string precision : {"float32", "bf16_mixed"}) {
    const TinyExperiment whole(shared_yaml()), parts(shared_yaml());
    const std::string both = "--ranks 2 --set train.trainable=all --set train.precision=" + precision;
    REQUIRE(whole.run(both).code == 0);
    const auto ran =
        parts.run(both + " --set train.shard=parameters --set train.activation_checkpointing=true");
    INFO(ran.output);
    REQUIRE(ran.code == 0);
    for (const std::string arm : {"gqa", "orthogonal"}) {
      const auto expected = read_run(whole.file(arm)), run = read_run(parts.file(arm));
      REQUIRE(run.train.size() == expected.train.size());
      for (size_t i = 0; i < run.train.size(); ++i) CHECK(run.train[i].loss == expected.train[i].loss);
      REQUIRE(run.evaluations.size() == expected.evaluations.size());
      for (size_t i = 0; i < run.evaluations.size(); ++i)
        CHECK(run.evaluations[i].heldout_loss == expected.evaluations[i].heldout_loss);
      const auto weights = std::filesystem::path(arm) / "seed0.model" / "model.safetensors";
      CHECK(read_file(parts.out / weights) == read_file(whole.out / weights));
    }
  }
}

TEST_CASE("tasks that two ranks ask have the replies and scores that one has") {
  const Deadlines deadlines;
  const TinyExperiment alone, two;
  const std::string tasks =
      " --set 'eval.tasks=[{task: word_problems, shots: 0, size: 5, max_new_tokens: 6}]' --set train.steps=2";
  REQUIRE(alone.run(tasks).code == 0);
  const auto ran = two.run("--ranks 2" + tasks + " --set train.shard=parameters");
  INFO(ran.output);
  REQUIRE(ran.code == 0);
  const auto record = [](const TinyExperiment& experiment) {
    return read_evaluation(experiment.out / "gqa" / "tasks.seed0.step0.h5");  // of the same weights
  };
  const auto expected = record(alone), found = record(two);
  REQUIRE(found.tasks.at(0).replies.size() == 5);
  for (size_t i = 0; i < 5; ++i)
    CHECK(found.tasks.at(0).replies[i].text == expected.tasks.at(0).replies[i].text);
  REQUIRE(found.scores.size() == expected.scores.size());
  for (size_t i = 0; i < found.scores.size(); ++i) CHECK(found.scores[i].value == expected.scores[i].value);
  CHECK(std::filesystem::exists(two.out / "gqa" / "tasks.seed0.step2.h5"));
  CHECK_FALSE(std::filesystem::exists(two.out / "gqa" / "tasks.seed0.step2.h5.partial.jsonl"));
}

TEST_CASE("a rank that is killed ends all with one line, and the same command goes on") {
  const Deadlines deadlines;
  const TinyExperiment plain(shared_yaml(200)), killed(shared_yaml(200));
  REQUIRE(plain.run("--ranks 2").code == 0);
  Random random(1, 1);
  for (int64_t i = 0; i < 2; ++i) {
    RunProcess process(killed, {"--ranks", "2"});
    REQUIRE(wait_until([&] { return test::has_rows(killed.file("gqa"), static_cast<size_t>(3 + 10 * i)); }));
    const auto ranks = children_of(process.id());
    REQUIRE(ranks.size() == 2);
    ::kill(ranks[static_cast<size_t>(random.between(0, 1))], SIGKILL);
    CHECK(process.wait() == 1);
    const std::string output = process.output();
    INFO(output);
    CHECK(output.find("killed by signal 9") != std::string::npos);
    CHECK(output.find("killed by signal 9") == output.rfind("killed by signal 9"));
    for (const pid_t rank : ranks) CHECK(::kill(rank, 0) != 0);
  }
  REQUIRE(killed.run("--ranks 2").code == 0);
  for (const std::string arm : {"gqa", "orthogonal"})
    check_equal(read_run(plain.file(arm)), read_run(killed.file(arm)));
}

TEST_CASE("an interrupt of the launcher saves, and another number of ranks goes on") {
  const Deadlines deadlines;
  const TinyExperiment plain(shared_yaml(30)), moved(shared_yaml(30));
  REQUIRE(plain.run().code == 0);
  {
    RunProcess process(moved, {"--ranks", "2"});
    REQUIRE(wait_until([&] { return test::has_rows(moved.file("gqa"), 3); }));
    process.kill(SIGTERM);
    CHECK(process.wait() == 130);
    INFO(process.output());
    CHECK_FALSE(test::saved_states(moved.out / "gqa").empty());
  }
  REQUIRE(moved.run("--ranks 1").code == 0);
  const auto expected = read_run(plain.file("gqa")), run = read_run(moved.file("gqa"));
  REQUIRE(run.train.size() == expected.train.size());
  for (size_t i = 0; i < run.train.size(); ++i)
    CHECK(run.train[i].loss == Approx(expected.train[i].loss).epsilon(1e-5));
}

TEST_CASE("a step that ranks can't share is refused by one line") {
  const Deadlines deadlines;
  const TinyExperiment experiment;
  const auto ran = experiment.run("--ranks 3 --set train.batch_size=2");
  INFO(ran.output);
  CHECK(ran.code == 2);
  const std::string line = "train.batch_size: found 2 with 3 ranks";
  CHECK(ran.output.find(line) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(experiment.file("gqa")));
}

}  // namespace
}  // namespace attnlab
