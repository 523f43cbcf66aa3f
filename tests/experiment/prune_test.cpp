// Runs that prune, cut and train on, in one plan.
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "core/random.h"
#include "model/decoder_weights.h"
#include "run_process.h"

namespace attnlab {
namespace {

using test::RunProcess;
using test::TinyExperiment;

std::string pruning_yaml() {
  return R"(experiment: tiny
base:
  init: {family: llama, vocab_size: 1024, d_model: 16, n_layers: 3, n_heads: 4, n_kv_heads: 2, head_dim: 4, d_ff: 24}
  tokenizer: )" +
         (test::source_dir() / "data" / "base_small" / "tokenizer.json").string() + R"(
  eos_token: "<|eos|>"
data: {kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8}
arms:
  - {name: gqa, variant: gqa}
seeds: [0]
train:
  {steps: 40, batch_size: 4, sequence_length: 48, lr: 1e-3, checkpoint_every: 3,
   prune: {steps: 24, d_model: 12, n_layers: 2, n_kv_heads: 1, d_ff: 16, warmup_steps: 8, mask_lr: 0.3}}
eval: {every: 8, heldout_examples: 4, problems: 2, max_new_tokens: 4}
device: cpu
)";
}

TEST_CASE("prune, cut, train on: one run, whose model is an ordinary checkpoint of its family") {
  const TinyExperiment experiment(pruning_yaml());
  const auto ran = experiment.run();
  INFO(ran.output);
  REQUIRE(ran.code == 0);
  CHECK_THAT(ran.output,
             ContainsSubstring("step 24: cut to 2 layers of 1 KV heads and 16 columns, 12 numbers wide"));
  const auto checkpoint = Checkpoint::open(experiment.out / "gqa" / "seed0.model");
  const auto form = read_checkpoint_form(checkpoint);
  CHECK(is_native(form));
  CHECK(form.config.d_model == 12);
  CHECK(form.config.n_layers == 2);
  CHECK(form.config.n_heads == 2);
  CHECK(form.config.n_kv_heads == 1);
  CHECK(form.config.head_dim == 4);
  CHECK(form.config.d_ff == 16);
  check_checkpoint(checkpoint, form);
  const RunRecord record = read_run(experiment.file("gqa"));
  CHECK(record.train.size() == 40);
  CHECK(record.evaluations.size() == 6);
}

std::string weights_of(const TinyExperiment& experiment) {
  return read_file(experiment.out / "gqa" / "seed0.model" / "model.safetensors");
}

// Killed six times at random within the time that a whole run takes, it gives the curve and the weights of the
// undisturbed one.
void check_killed(const TinyExperiment& killed, const TinyExperiment& undisturbed,
                  std::chrono::milliseconds whole, uint64_t seed) {
  Random random(seed);
  int64_t kills = 0;
  for (int64_t i = 0; i < 6; ++i) {
    RunProcess process(killed, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(random.between(whole.count() / 4, whole.count())));
    process.kill(SIGKILL);
    kills += process.wait() == -SIGKILL;
  }
  CHECK(kills > 0);
  REQUIRE(killed.run().code == 0);
  test::check_equal(read_run(undisturbed.file("gqa")), read_run(killed.file("gqa")));
  CHECK(weights_of(undisturbed) == weights_of(killed));
}

TEST_CASE(
    "a pruning run that is killed, before and behind its cut, gives the same curve and the same weights") {
  const TinyExperiment undisturbed(pruning_yaml()), killed(pruning_yaml());
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(undisturbed.run().code == 0);
  const auto whole =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  check_killed(killed, undisturbed, whole, 20261130);
}

// The same on two kinds of data, whose shares follow their losses before the cut and behind it.
std::string dynamic_yaml() {
  std::string text = pruning_yaml();
  const auto put = [&](const std::string& before, const std::string& after) {
    const size_t at = text.find(before);
    REQUIRE(at != std::string::npos);
    text.replace(at, before.size(), after);
  };
  put("data: {kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8}", R"(data:
  mixture:
    - {weight: 3, kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8}
    - {weight: 1, kind: code_functions, difficulty_max: 1, size: 48, heldout_size: 8})");
  put("checkpoint_every: 3,", R"(checkpoint_every: 3,
   domains: {every: 5, reference_losses: [6.5, 6.0], heldout_examples: 6},)");
  return text;
}

// What a run said of its shares, line by line.
std::vector<std::string> shares_told(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);)
    if (const size_t at = line.find("held-out losses of the mixture's parts"); at != std::string::npos)
      lines.push_back(line.substr(at));
  return lines;
}

TEST_CASE("shares of a mixture follow its parts' losses through masks, cut and training on, and over kills") {
  const TinyExperiment undisturbed(dynamic_yaml()), killed(dynamic_yaml());
  const auto begin = std::chrono::steady_clock::now();
  const auto ran = undisturbed.run();
  INFO(ran.output);
  REQUIRE(ran.code == 0);
  const auto whole =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  const auto told = shares_told(ran.output);
  REQUIRE(told.size() == 7);  // behind steps 5 to 35
  CHECK(told.front() != told.back());
  check_killed(killed, undisturbed, whole, 20261201);
  // Shares that stay are another run.
  const TinyExperiment constant(dynamic_yaml());
  REQUIRE(constant.run("--set train.domains.update=constant").code == 0);
  CHECK(weights_of(undisturbed) != weights_of(constant));
}

TEST_CASE("shares that can't follow losses are refused before anything runs") {
  const auto refused = [](const std::string& set) {
    const TinyExperiment experiment(dynamic_yaml());
    const auto ran = experiment.run(set);
    CHECK(ran.code == 2);
    CHECK_FALSE(std::filesystem::exists(experiment.file("gqa")));
    return ran.output;
  };
  CHECK_THAT(refused("--set train.domains.reference_losses=[6.5]"),
             ContainsSubstring("train.domains.reference_losses: found 1 numbers, expected 2"));
  CHECK_THAT(refused("--set train.domains.reference_losses=[6.5,-1]"),
             ContainsSubstring("expected losses from 0"));
  CHECK_THAT(refused("--set train.domains.every=0"), ContainsSubstring("train.domains.every: found '0'"));
  CHECK_THAT(refused("--set train.domains.update=doremy"), ContainsSubstring("did you mean 'doremi'?"));
  const TinyExperiment plain(pruning_yaml());
  const auto ran = plain.run("--set train.domains.every=5 --set train.domains.reference_losses=[6.5]");
  CHECK(ran.code == 2);
  CHECK_THAT(ran.output, ContainsSubstring("train.domains: found shares of a mixture's parts"));
}

TEST_CASE("a plan that can't be pruned is refused before anything runs") {
  const auto refused = [](const std::string& set) {
    const TinyExperiment experiment(pruning_yaml());
    const auto ran = experiment.run(set);
    CHECK(ran.code == 2);
    CHECK_FALSE(std::filesystem::exists(experiment.file("gqa")));
    return ran.output;
  };
  CHECK_THAT(refused("--set train.prune.d_ff=25"),
             ContainsSubstring("train.prune.d_ff: found 25, expected at most"));
  CHECK_THAT(refused("--set train.prune.steps=40"),
             ContainsSubstring("train.prune.steps: found 40, expected fewer than train.steps = 40"));
  CHECK_THAT(refused("--set train.trainable=attention"), ContainsSubstring("train.trainable: found attention"));
  CHECK_THAT(refused("--set arms.gqa.variant=mla_identity"), ContainsSubstring("masks on mla_identity"));
  CHECK_THAT(refused("--set train.activation_checkpointing=true"), ContainsSubstring("beside train.prune"));
}

}  // namespace
}  // namespace attnlab
