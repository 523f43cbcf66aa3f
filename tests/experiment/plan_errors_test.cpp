// One rejection test per rule: the line names the file, the line, the key, what was found, what was expected.
#include <fstream>

#include "catch.h"
#include "core/errors.h"
#include "experiment/run/runner.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

std::string refusal(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const test::TinyExperiment experiment(yaml);
  try {
    const Plan plan =
        make_plan({.config = experiment.config, .overrides = overrides, .results = experiment.out.string()});
    validate_plan(plan);
  } catch (const InputError& error) {
    CHECK_FALSE(std::filesystem::exists(experiment.out));
    const std::string text = error.what();
    CHECK(std::count(text.begin(), text.end(), '\n') == 0);
    return text;
  }
  return "accepted";
}

std::string with(const std::string& override) { return refusal(test::tiny_yaml(), {override}); }

std::string replaced(const std::string& from, const std::string& to) {
  std::string yaml = test::tiny_yaml();
  yaml.replace(yaml.find(from), from.size(), to);
  return refusal(yaml);
}

TEST_CASE("the experiment of these tests is valid") { CHECK(refusal(test::tiny_yaml()) == "accepted"); }

TEST_CASE("sizes: unknown ones, and unknown keys in them") {
  const std::string sized = test::tiny_yaml() + "sizes:\n  small: {train.steps: 2}\n";
  CHECK_THAT(
      refusal(sized, {"size=smal"}),
      ContainsSubstring("--set size=smal: size: found 'smal' (did you mean 'small'?), expected one of small") &&
          ContainsSubstring("did you mean 'small'?"));
  CHECK_THAT(with("size=small"), ContainsSubstring("sizes: found nothing, expected a map"));
  CHECK_THAT(refusal(test::tiny_yaml() + "sizes:\n  small: {trian.steps: 2}\n"),
             ContainsSubstring("exp.yaml:15: sizes.small.trian.steps: found an unknown key") &&
                 ContainsSubstring("did you mean 'train'?"));
  CHECK_THAT(refusal(test::tiny_yaml() + "sizes:\n  small: {size: large}\n"),
             ContainsSubstring("an unknown key"));
  CHECK_THAT(refusal(test::tiny_yaml() + "sizes: {small: 3}\n"),
             ContainsSubstring("sizes.small: found '3', expected a map from dotted keys"));
}

TEST_CASE("unknown keys, with the nearest") {
  CHECK_THAT(replaced("train: {steps", "train: {step"),
             ContainsSubstring("exp.yaml:11: train.step: found an unknown key") &&
                 ContainsSubstring("did you mean 'steps'?"));
  CHECK_THAT(with("trian.lr=3"), ContainsSubstring("--set trian.lr=3: trian: found an unknown key"));
  CHECK_THAT(replaced("seeds: [0]", "seed: [0]"),
             ContainsSubstring("exp.yaml:10: seed: found an unknown key") &&
                 ContainsSubstring("did you mean 'seeds'?"));
  CHECK_THAT(replaced("variant: mla_orthogonal,", "variant: mla_orthogonal, options: {ranks: 2},"),
             ContainsSubstring("arms.orthogonal.options.ranks") && ContainsSubstring("did you mean 'rank'?"));
}

TEST_CASE("wrong types and ranges") {
  CHECK_THAT(with("train.steps=many"), ContainsSubstring("--set train.steps=many: train.steps: found 'many'"));
  CHECK_THAT(with("train.steps=0"), ContainsSubstring("a whole number of at least 1"));
  CHECK_THAT(with("train.lr=-1"), ContainsSubstring("a number above 0"));
  CHECK_THAT(with("device=gpu"),
             ContainsSubstring("device: found 'gpu' (did you mean 'cpu'?), expected one of auto, cpu, cuda"));
  CHECK_THAT(with("seeds=[1, 1]"), ContainsSubstring("seeds: found 1 twice"));
  CHECK_THAT(with("seeds=[]"), ContainsSubstring("at least one seed"));
  CHECK_THAT(with("experiment=a/b"), ContainsSubstring("experiment: found 'a/b'"));
}

TEST_CASE("arms") {
  CHECK_THAT(replaced("variant: gqa", "variant: gqq"),
             ContainsSubstring("exp.yaml:8: arms.gqa.variant: found 'gqq'") &&
                 ContainsSubstring("did you mean 'gqa'?"));
  CHECK_THAT(replaced("name: orthogonal", "name: gqa"), ContainsSubstring("'gqa' twice"));
  CHECK_THAT(replaced("name: orthogonal", "name: a b"), ContainsSubstring("letters, digits"));
  CHECK_THAT(replaced("name: gqa, ", ""), ContainsSubstring("arms.0.name: found nothing"));
  CHECK_THAT(with("arms=3"), ContainsSubstring("arms: found '3', expected a list of arms"));
  CHECK_THAT(with("arms.1.options.rank=5"),
             ContainsSubstring("--set arms.1.options.rank=5: ") &&
                 ContainsSubstring("options.rank: found 5, expected 1 to head_dim = 4"));
  CHECK_THAT(with("arms.0.trainable=[attentoin]"), ContainsSubstring("did you mean 'attention'?"));
  CHECK_THAT(with("arms.7.name=x"), ContainsSubstring("no place '7'"));
}

TEST_CASE("layers of an arm") {
  const auto layers = [](const std::string& arm) { return replaced("{name: gqa, variant: gqa}", arm); };
  CHECK_THAT(layers("{name: h}"), ContainsSubstring("exp.yaml:8: arms.h.variant: found nothing"));
  CHECK_THAT(layers("{name: h, layers: [{of: 0-x, variant: gqa}]}"),
             ContainsSubstring("arms.h.layers[0].of: found '0-x', expected layers, as 0-3,6"));
  CHECK_THAT(
      layers("{name: h, layers: [{of: 0, variant: mla_idenity}]}"),
      ContainsSubstring("arms.h.layers[0].variant") && ContainsSubstring("did you mean 'mla_identity'?"));
  CHECK_THAT(layers("{name: h, layers: [{of: 0, variant: mla_orthogonal, options: {rnak: 1}}]}"),
             ContainsSubstring("did you mean 'rank'?"));
  CHECK_THAT(layers("{name: h, layers: [{of: 0, variant: gqa}]}"),
             ContainsSubstring("exp.yaml:8") && ContainsSubstring("found nothing for layer 1"));
  CHECK_THAT(layers("{name: h, layers: [{of: 0-2, variant: gqa}]}"),
             ContainsSubstring("found layer 2, expected 0 to 1, the base's layers"));
  CHECK_THAT(layers("{name: h, variant: gqa, layers: [{of: 0, variant: gqa}, {of: 0-1, variant: mla_v2}]}"),
             ContainsSubstring("found layer 0 again, expected each layer once"));
  CHECK_THAT(layers("{name: h, variant: gqa, layers: [{of: 1, variant: mla_orthogonal, options: {rank: 9}}]}"),
             ContainsSubstring("options.rank: found 9, expected 1 to head_dim = 4"));
}

TEST_CASE("how caches are kept") {
  CHECK_THAT(with("eval.cache.policy=snapvk"),
             ContainsSubstring("eval.cache.policy: found 'snapvk' (did you mean 'snapkv'?)"));
  CHECK_THAT(with("eval.cache={policy: snapkv, budget: 40, window: 48}"),
             ContainsSubstring("eval.cache.budget: found 40, expected at least 48"));
  CHECK_THAT(with("eval.cache={policy: streaming, layer_budgets: [9, 3]}"),
             ContainsSubstring("eval.cache.budget: found 3, expected at least 4: 4 sinks"));
  CHECK_THAT(with("eval.cache={policy: h2o, budget: 40, share: 0.5}"),
             ContainsSubstring("found more than one of budget, share"));
  CHECK_THAT(with("eval.cache={policy: h2o, source: official}"),
             ContainsSubstring("eval.cache.source: found official, expected one of paper, kvpress"));
  CHECK_THAT(
      with("eval.cache={policy: snapkv, behind: context}"),
      ContainsSubstring("eval.cache.behind: found context, expected prompt, or data (with eval.problems) and"));
  const std::string retrieval =
      "eval={problems: 0, cache: {policy: snapkv, behind: context}, tasks: [{task: passkey}, {task: ";
  CHECK_THAT(with(retrieval + "word_problems}]}"), ContainsSubstring("eval.cache.behind: found context"));
  CHECK_THAT(with(retrieval + "word_problems, shots: 3}]}"), !ContainsSubstring("eval.cache.behind"));
  CHECK_THAT(with("eval.cache={policy: snapkv, kernel: 4}"), ContainsSubstring("an odd number"));
  CHECK_THAT(with("eval.cache={policy: a2sf, alpha: 2}"), ContainsSubstring("eval.cache.alpha"));
  CHECK_THAT(with("eval.cache.storage=int9"), ContainsSubstring("found 'int9' (did you mean 'int8'?)"));
  CHECK_THAT(with("eval.cache={storage: kivi, residual: 100}"),
             ContainsSubstring("eval.cache.residual: found 100, expected a multiple of the 32 tokens"));
  CHECK_THAT(with("eval.cache.report_context=0"), ContainsSubstring("at least 1"));
}

TEST_CASE("sweeps") {
  CHECK_THAT(with("sweep=3"), ContainsSubstring("sweep: found '3'"));
  const auto swept = [](const std::string& text) {
    return refusal(test::tiny_yaml() + "sweep: " + text + "\n");
  };
  CHECK_THAT(swept("{train.lr: 3}"), ContainsSubstring("exp.yaml:14: sweep.train.lr: found '3'"));
  CHECK_THAT(swept("{train.lr: [1e-3, 1e-3]}"), ContainsSubstring("each value once"));
  CHECK_THAT(with("sweep.train.lr=1e-3"),
             ContainsSubstring("--set sweep.train.lr=1e-3: sweep.train.lr: found '1e-3', expected a list"));
  CHECK_THAT(swept("{trian.lr: [1]}"), ContainsSubstring("did you mean 'train'?"));
  CHECK_THAT(swept("{seeds: [1]}"), ContainsSubstring("a dotted key of base, data, arms, train or eval"));
  CHECK_THAT(swept("{train.rate: [1]}"), ContainsSubstring("train.rate: found an unknown key"));
}

// What a sweep would override, and what it may stand in the place of.
TEST_CASE("values that a sweep would override") {
  const std::string alike = test::tiny_yaml_alike();
  const auto swept = [&](const std::string& sweep, const std::vector<std::string>& overrides = {}) {
    return refusal(alike + "sweep: " + sweep + "\n", overrides);
  };
  CHECK(swept("{train.lr: [1e-3, 2e-3]}") == "accepted");
  CHECK_THAT(swept("{train.lr: [1e-3]}", {"train.lr=2e-3"}),
             ContainsSubstring("--set train.lr=2e-3: train.lr: found '2e-3', which sweep.train.lr overrides, "
                               "expected sweep.train.lr with that value"));
  CHECK_THAT(swept("{train.lr: [1e-3]}", {"train={lr: 2e-3, steps: 6}"}),
             ContainsSubstring("which sweep.train.lr overrides"));
  CHECK(swept("{train.lr: [1e-3]}", {"train.steps=4"}) == "accepted");
  CHECK_THAT(swept("{arms.orthogonal.options.rank: [2, 3]}", {"arms.1.options.rank=1"}),
             ContainsSubstring("which sweep.arms.orthogonal.options.rank overrides"));
  CHECK_THAT(refusal(test::tiny_yaml() + "sweep: {train.lr: [1e-3]}\n"),
             ContainsSubstring("exp.yaml:9: arms.orthogonal.train.lr: found '2e-3', which sweep.train.lr "
                               "overrides, expected sweep.arms.orthogonal.train.lr, or no value"));
  CHECK_THAT(swept("{train.trainable: [all]}", {"arms.gqa.trainable=attention"}),
             ContainsSubstring("arms.gqa.trainable: found 'attention', which sweep.train.trainable overrides"));
  CHECK_THAT(swept("{arms.gqa.train.lr: [1e-3], train.lr: [2e-3]}"),
             ContainsSubstring("sweep.arms.gqa.train.lr: found a list, which sweep.train.lr overrides"));
  CHECK_THAT(swept("{arms.gqa.train.lr: [1e-3], arms.0.train.lr: [2e-3]}"),
             ContainsSubstring("expected one of the two"));
  CHECK_THAT(swept("{train.lr: [1e-3]}", {"train.lr={sweep: [1e-3], seeds: [9]}"}),
             ContainsSubstring("train.lr: found a map, which sweep.train.lr overrides"));
  CHECK_THAT(refusal(alike + "sweep: {train.lr: [1e-3]}\nsizes:\n  small: {train.lr: 2e-3}\n", {"size=small"}),
             ContainsSubstring("exp.yaml:16: train.lr: found '2e-3', which sweep.train.lr overrides"));
}

TEST_CASE("a value in whose place a sweep stands is read, too") {
  std::string yaml = test::tiny_yaml_alike() + "sweep: {train.lr: [1e-3]}\n";
  yaml.replace(yaml.find("lr: 1e-3"), 8, "lr: fast");
  CHECK_THAT(refusal(yaml), ContainsSubstring("exp.yaml:11: train.lr: found 'fast', expected a number"));
}

TEST_CASE("an arm's parameters are named once") {
  CHECK_THAT(with("arms.orthogonal={name: o, variant: gqa, trainable: all, train: {trainable: attention}}"),
             ContainsSubstring("arms.o.trainable: found 'all' beside train.trainable"));
}

TEST_CASE("options of a variant that has none") {
  CHECK_THAT(replaced("variant: gqa}", "variant: gqa, options: {rank: 2}}"),
             ContainsSubstring("exp.yaml:8: arms.gqa.options.rank: found an option, expected none: gqa has no "
                               "options"));
}

TEST_CASE("files that are included") {
  CHECK_THAT(replaced("device: cpu", "include: nowhere.yaml"),
             ContainsSubstring("exp.yaml:13: include: found 'nowhere.yaml', and no file "));
  CHECK_THAT(with("include=exp.yaml"), ContainsSubstring("--set include=exp.yaml: include: found 'exp.yaml', "
                                                         "expected this key in a file"));
}

TEST_CASE("the base") {
  CHECK_THAT(with("base.path=nowhere"), ContainsSubstring("base: found path and init"));
  CHECK_THAT(with("base={tokenizer: x}"), ContainsSubstring("neither path nor init"));
  CHECK_THAT(
      with("base={path: nowhere}"),
      ContainsSubstring("--set base={path: nowhere}: base.path: found 'nowhere': nothing there, expected a "
                        "model folder"));
  const auto model = test::source_dir() / "data" / "base_small";
  CHECK_THAT(with("base={path: " + (model.parent_path() / "base_smal").string() + "}"),
             ContainsSubstring("(did you mean '" + model.string() + "'?)"));
  CHECK_THAT(with("base={path: some-org/some.model}"),
             ContainsSubstring("models--some-org--some.model") &&
                 ContainsSubstring("`hf download some-org/some.model` puts it there"));
  CHECK_THAT(with("base.tokenizer=nowhere.json"), ContainsSubstring("nowhere.json"));
  CHECK_THAT(with("base.eos_token='<eos>'"), ContainsSubstring("base.eos_token: found '<eos>'"));
  CHECK_THAT(with("base.eos_token=''"), ContainsSubstring("the token that ends a document"));
  CHECK_THAT(with("base.init.n_kv_heads=3"),
             ContainsSubstring("base.init.n_kv_heads") && ContainsSubstring("a divisor of n_heads = 4"));
  CHECK_THAT(with("base.init.head_dim=3"), ContainsSubstring("an even number"));
  CHECK_THAT(with("base.init.vocab_size=1000"), ContainsSubstring("1024 tokens"));
}

TEST_CASE("the data") {
  CHECK_THAT(with("data.kind=gsm8q"), ContainsSubstring("did you mean 'gsm8k'?"));
  CHECK_THAT(with("data.kind=gsm8k"), ContainsSubstring("exp.yaml:6: data.path: found nothing"));
  CHECK_THAT(with("data={kind: gsm8k, path: /nowhere.jsonl}"),
             ContainsSubstring(
                 "--set data={kind: gsm8k, path: /nowhere.jsonl}: data.path: found '/nowhere.jsonl': no such "
                 "file or folder, expected one that is there"));
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "train.jsonl") << "{}\n";
  const std::string near = (folder.path() / "train.json").string();
  CHECK_THAT(
      with("data={mixture: [{weight: 1, kind: word_problems}, {weight: 1, kind: gsm8k, path: " + near + "}]}"),
      ContainsSubstring("data.mixture.1.path: found '" + near + "'") &&
          ContainsSubstring("did you mean '" + near + "l'?"));
  CHECK_THAT(with("data.difficulty_min=3"), ContainsSubstring("data.difficulty_max"));
  CHECK_THAT(
      with("data.path=x.jsonl"),
      ContainsSubstring("--set data.path=x.jsonl: data.path: found x.jsonl, while kind word_problems makes its "
                        "examples and reads no file"));
  CHECK_THAT(with("data.heldout_path=x.jsonl"), ContainsSubstring("data.heldout_path: found x.jsonl, while"));
}

TEST_CASE("evaluations of more than is held out") {
  CHECK_THAT(with("eval.problems=9"),
             ContainsSubstring("--set eval.problems=9: eval.problems: found 9, expected at most 8"));
  CHECK(with("eval.problems=8") == "accepted");
  CHECK_THAT(with("eval.heldout_examples=9"),
             ContainsSubstring("eval.heldout_examples: found 9, expected at most 8"));
  CHECK_THAT(with("data.kind=code_functions"),
             ContainsSubstring("exp.yaml:12: eval.problems: found 3, expected "
                               "at most 0"));
}

TEST_CASE("what can't be done here") {
  if (!torch::cuda::is_available())
    CHECK_THAT(with("device=cuda"), ContainsSubstring("device: found 'cuda', expected auto or cpu"));
}

TEST_CASE("rows longer than the base's positions") {
  CHECK_THAT(with("base.init.max_positions=40"),
             ContainsSubstring("train.sequence_length: found 48, expected at most the base's 40 positions"));
}

TEST_CASE("overrides and files") {
  CHECK_THAT(with("train.steps"), ContainsSubstring("--set: found 'train.steps', expected KEY=VALUE"));
  CHECK_THAT(with("train.steps.x=1"), ContainsSubstring("no place 'x'"));
  CHECK_THAT(refusal("a: [1\n"), ContainsSubstring("exp.yaml:1") && ContainsSubstring("valid YAML"));
  CHECK_THAT(refusal("- 1\n"), ContainsSubstring("found a list, expected a map"));
  CHECK_THAT(refusal(""), ContainsSubstring("found nothing, expected a map"));
  CHECK_THROWS_WITH(make_plan({.config = "/nowhere/exp.yaml"}), ContainsSubstring("/nowhere/exp.yaml"));
}

}  // namespace
}  // namespace attnlab
