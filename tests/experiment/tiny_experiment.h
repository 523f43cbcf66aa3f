// An experiment of seconds: random weights, two arms, word problems.
#pragma once

#include <cstdlib>
#include <string>

#include "catch.h"
#include "core/files.h"
#include "experiment/plan/plan.h"

namespace attnlab::test {

inline std::string tiny_yaml() {
  return R"(experiment: tiny
base:
  init: {family: llama, vocab_size: 1024, d_model: 16, n_layers: 2, n_heads: 4, n_kv_heads: 1, head_dim: 4, d_ff: 24}
  tokenizer: )" +
         (source_dir() / "data" / "base_small" / "tokenizer.json").string() + R"(
  eos_token: "<|eos|>"
data: {kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8}
arms:
  - {name: gqa, variant: gqa}
  - {name: orthogonal, variant: mla_orthogonal, train: {lr: 2e-3}}
seeds: [0]
train: {steps: 6, batch_size: 4, sequence_length: 48, lr: 1e-3, trainable: attention, checkpoint_every: 2}
eval: {every: 3, heldout_examples: 4, problems: 3, max_new_tokens: 8}
device: cpu
)";
}

// The same without a rate of the second arm's own.
inline std::string tiny_yaml_alike() {
  std::string yaml = tiny_yaml();
  const std::string own = ", train: {lr: 2e-3}";
  return yaml.replace(yaml.find(own), own.size(), "");
}

struct Ran {
  int code = 0;
  std::string output;  // standard output, then standard error
};

// Runs a program of the build through the shell.
inline Ran run_program(const std::string& command, const std::filesystem::path& log) {
  const int status = std::system(
      (bin_dir().string() + "/" + command + " >" + log.string() + " 2>" + log.string() + ".err").c_str());
  return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .output = read_file(log) + read_file(log.string() + ".err")};
}

// A folder with exp.yaml in it.
struct TinyExperiment {
  TemporaryFolder folder;
  std::filesystem::path config = folder.path() / "exp.yaml", out = folder.path() / "out";

  explicit TinyExperiment(const std::string& yaml = tiny_yaml()) { write_file_atomic(config, yaml); }
  Ran run(const std::string& arguments = "") const {
    return run_program(
        "run_ablation --threads 1 --config " + config.string() + " --out " + out.string() + " " + arguments,
        folder.path() / "log");
  }
  std::filesystem::path file(const std::string& arm, int64_t seed = 0) const {
    return out / arm / ("seed" + std::to_string(seed) + ".h5");
  }
};

inline Plan plan_of(const TinyExperiment& experiment, const std::vector<std::string>& overrides = {}) {
  return make_plan({.config = experiment.config, .overrides = overrides, .results = experiment.out.string()});
}

}  // namespace attnlab::test
