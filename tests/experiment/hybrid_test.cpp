// An arm whose layers have variants of their own, through a plan: run, killed, gone on with, and compared.
#include "catch.h"
#include "experiment/run/dry_run.h"
#include "model/decoder_weights.h"
#include "run_process.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

std::string hybrid_yaml() {
  std::string text = test::tiny_yaml();
  const auto arms = text.find("arms:"), seeds = text.find("seeds:");
  return text.replace(arms, seeds - arms, R"(arms:
  - {name: gqa, variant: gqa}
  - {name: two, layers: [{of: "0", variant: gqa}, {of: "1", variant: mla_deepseek, options: {kv_lora_rank: 3}}]}
  - {name: rest, variant: mla_identity, layers: [{of: "1", variant: mla_orthogonal, options: {rank: 2}}]}
)");
}

TEST_CASE(
    "a hybrid arm trains, is killed, goes on to the same curve, and is saved in a folder that says its form") {
  const TinyExperiment undisturbed(hybrid_yaml()), killed(hybrid_yaml());
  const auto outcome = undisturbed.run("--set train.save_model=true --set train.steps=40");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const RunRecord two = read_run(undisturbed.file("two")), rest = read_run(undisturbed.file("rest"));
  CHECK(two.header.variant == "gqa + mla_deepseek");
  CHECK(rest.header.variant == "mla_identity + mla_orthogonal");
  // Layer 0 keeps 2 · 1 · 4 numbers, layer 1 its 3 latent and 4 rotary ones; then 8 and 2 · 2.
  CHECK(two.header.cached_numbers_per_token == 8 + 7);
  CHECK(rest.header.cached_numbers_per_token == 8 + 4);
  REQUIRE(two.header.cache_bytes.has_value());
  CHECK(*two.header.cache_bytes == static_cast<double>(*two.header.cache_context) * 15 * 4);
  const auto model = undisturbed.out / "two" / "seed0.model";
  const auto loaded = load_decoder(Checkpoint::open(model), torch::kFloat32, torch::kCPU);
  CHECK(form_name(loaded->form()) == "gqa + mla_deepseek");

  test::RunProcess process(killed, {"--set", "train.steps=40"});
  REQUIRE(test::wait_until([&] { return test::has_rows(killed.file("two"), 6); }));
  process.kill(SIGKILL);
  process.wait();
  REQUIRE(killed.run("--set train.steps=40").code == 0);
  for (const char* arm : {"gqa", "two", "rest"})
    test::check_equal(read_run(undisturbed.file(arm)), read_run(killed.file(arm)));
}

TEST_CASE("a dry run counts a hybrid's parameters and cache") {
  const TinyExperiment experiment(hybrid_yaml());
  const auto costs = count_runs(make_plan({.config = experiment.config}));
  REQUIRE(costs.size() == 3);
  CHECK(costs[1].cached_numbers_per_token == 15);
  CHECK(costs[2].cached_numbers_per_token == 12);
  CHECK(costs[2].parameters_total > costs[0].parameters_total);
}

}  // namespace
}  // namespace attnlab
