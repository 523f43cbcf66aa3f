// The base that ships, as the quickstart meets it.
#include <cstdlib>

#include "catch.h"
#include "core/files.h"
#include "experiment/arms/arm_model.h"
#include "experiment/run/evaluation.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

TEST_CASE("the shipped base is small, grouped, and neither blank nor finished") {
  const auto root = test::source_dir();
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root / "data" / "base_small"))
    bytes += static_cast<int64_t>(entry.file_size());
  CHECK(bytes <= 16'000'000);
  const Plan plan = make_plan({.config = root / "experiments" / "quickstart" / "exp.yaml",
                               .overrides = {"base.path=" + (root / "data" / "base_small").string(),
                                             "eval.problems=120", "eval.heldout_examples=20"}});
  Inputs inputs(plan);
  const RunConfig& config = plan.runs[0].config;
  const auto base = inputs.base(config.base);
  const ArmModel model = make_arm_model(config, *base, torch::kCPU);
  CHECK((model.parameters_total >= 2'000'000 && model.parameters_total <= 4'000'000));
  CHECK(base->config.attention_shape().heads_per_kv() >= 4);
  const auto row = Evaluator(config, base, *inputs.data(config.data)).evaluate(*model.decoder, 0, {}).row;
  CHECK(row.problems == 120);
  CHECK((row.accuracy >= 0.2 && row.accuracy <= 0.6));
}

// The cache as huggingface_hub lays it out, with links to blobs.
TEST_CASE("a base and its tokenizer are taken from the hub's cache by their id") {
  namespace fs = std::filesystem;
  const test::TinyExperiment experiment;
  const fs::path model = experiment.folder.path() / "hf/hub/models--acme--tiny";
  fs::create_directories(model / "snapshots/c0ffee");
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"})
    fs::create_symlink(test::source_dir() / "data/base_small" / name, model / "snapshots/c0ffee" / name);
  write_file_atomic(model / "refs/main", "c0ffee");
  setenv("HF_HUB_CACHE", (experiment.folder.path() / "hf/hub").c_str(), 1);
  const auto found = experiment.run("--dry-run --set 'base={path: acme/tiny}'");
  const auto missing = experiment.run("--dry-run --set 'base={path: acme/tony}'");
  unsetenv("HF_HUB_CACHE");
  INFO(found.output);
  CHECK(found.code == 0);
  CHECK_THAT(found.output, ContainsSubstring("2.71M"));
  CHECK(missing.code == 2);
  CHECK_THAT(missing.output, ContainsSubstring("`hf download acme/tony` puts it there"));
}

}  // namespace
}  // namespace attnlab
