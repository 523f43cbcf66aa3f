// Keys that are given and have no effect are told, once, and only where no run heeds them.
#include "experiment/plan/idle_keys.h"

#include "catch.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

std::vector<std::string> warnings(const std::vector<std::string>& overrides) {
  const test::TinyExperiment experiment(test::tiny_yaml_alike());
  return test::plan_of(experiment, overrides).warnings;
}

TEST_CASE("a config whose keys all have an effect has no warning") {
  CHECK(warnings({}).empty());
  CHECK(warnings({"train.schedule=warmup_stable_decay", "train.decay_share=0.5", "train.final_lr_share=0"})
            .empty());
}

TEST_CASE("keys that others leave without effect") {
  const auto one = [](const std::vector<std::string>& overrides) {
    const auto lines = warnings(overrides);
    return lines.size() == 1 ? lines[0] : "not one line, but " + std::to_string(lines.size());
  };
  CHECK(one({"train.decay_share=0.5"}) ==
        "train.decay_share: 0.5 has no effect: schedule cosine is not warmup_stable_decay");
  CHECK(one({"train.schedule=constant", "train.final_lr_share=0.5"}) ==
        "train.final_lr_share: 0.5 has no effect: schedule constant never falls");
  CHECK(one({"data.code_share=0.5"}) ==
        "data.code_share: 0.5 has no effect: kind word_problems is not generated");
  CHECK(one({"data.extensions=[.md]"}).starts_with("data.extensions: "));
  CHECK(one({"data.words=50"}) ==
        "data.words: 50 has no effect: kind word_problems has no context of so many words");
  CHECK(one({"data.train_roles=[user]"}).starts_with("data.train_roles: [user] has no effect"));
  CHECK(one({"data.heldout_share=0.2"}).ends_with("kind word_problems makes its examples and reads no file"));
  CHECK(one({"data={kind: gsm8k, path: x, seed: 3}"}) ==
        "data.seed: 3 has no effect: kind gsm8k is read from a file");
  CHECK(one({"data={kind: gsm8k, path: x, heldout_path: y, heldout_share: 0.2}"})
            .ends_with("heldout_path has the held-out examples"));
  CHECK(one({"data={kind: text_jsonl, path: x, prompt_template: alpaca}"}).ends_with("has no prompts"));
  CHECK(one({"base={path: x, init_seed: 3}"}) ==
        "base.init_seed: 3 has no effect: the weights are those of path");
  CHECK(one({"data={mixture: [{weight: 1, kind: gsm8k, path: x, size: 3}]}"})
            .starts_with("data.mixture.0.size: 3 has no effect"));
  CHECK(one({"eval.cache={policy: tova, alpha: 0.5}"}) ==
        "eval.cache.alpha: 0.5 has no effect: policy tova does not heed it");
  CHECK(one({"eval.tasks=[{task: word_problems, top_p: 0.5}]"}) ==
        "eval.tasks.word_problems.top_p: 0.5 has no effect: at temperature 0 the likeliest token is taken");
  CHECK(one({"eval.tasks=[{task: gsm8k, path: x, size: 5}]"}).starts_with("eval.tasks.gsm8k.size: 5 has no"));
  CHECK(one({"arms.orthogonal={name: d, variant: mla_deepseek, options: {balance: false, balance_kv_ratio: "
             "2}}"}) == "arms.d.options.balance_kv_ratio: 2 has no effect: balance is false");
  CHECK(
      one({"arms.orthogonal={name: c, variant: care, options: {k_ranks: [2, 2], v_ranks: [2, 2], rank: 1}}"}) ==
      "arms.c.options.rank: 1 has no effect: k_ranks and v_ranks say the ranks");
}

TEST_CASE("a key that has an effect at one point of a sweep, or in one arm, is not told") {
  CHECK(warnings({"sweep.train.schedule=[constant, cosine]", "train.final_lr_share=0.5"}).empty());
  CHECK(warnings({"arms.gqa.train.schedule=constant", "train.final_lr_share=0.5"}).empty());
  CHECK(warnings({"arms.gqa.train.decay_share=0.5"}).size() == 1);
  CHECK(warnings({"sweep.data.kind=[word_problems, gsm8k]", "data.path=x"}).empty());
}

TEST_CASE("every experiment of the project gives keys that have an effect, at every size") {
  for (const auto& folder : std::filesystem::directory_iterator(test::source_dir() / "experiments")) {
    const auto config = folder.path() / "exp.yaml";
    if (!std::filesystem::exists(config)) continue;
    INFO(config);
    std::vector<std::vector<std::string>> sizes{{}};
    if (const Node root = parse_yaml_file(config); const Node* named = root.find("sizes"))
      for (const auto& [name, values] : named->entries) sizes.push_back({"size=" + name});
    for (const auto& size : sizes)
      CHECK(make_plan({.config = config, .overrides = size, .results = "r"}).warnings ==
            std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace attnlab
