// Bases of every family: trained, evaluated, saved in the family's layout, and taken up again from there.
#include "catch.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

// `init`: what the family's base.init has beside the sizes; `arms`: names of variants.
std::string yaml(const std::string& base, const std::vector<std::string>& arms) {
  std::string text = "experiment: tiny\nbase: {" + base + ", tokenizer: " +
                     (test::source_dir() / "data" / "base_small" / "tokenizer.json").string() +
                     ", eos_token: \"<|eos|>\"}\n" +
                     "data: {kind: word_problems, difficulty_max: 1, size: 32, heldout_size: 4}\n" + "arms:\n";
  for (const auto& arm : arms) text += "  - {name: " + arm + ", variant: " + arm + "}\n";
  return text +
         "train: {steps: 2, batch_size: 2, sequence_length: 48, lr: 1e-3, trainable: attention_kv}\n"
         "eval: {before: false, heldout_examples: 4, problems: 2, max_new_tokens: 4}\ndevice: cpu\n";
}

struct Case {
  std::string name, init;
  std::vector<std::string> arms;
};

const std::string kSizes = "vocab_size: 1024, d_model: 16, n_layers: 2, n_heads: 4, d_ff: 24";
const std::string kHeads = ", n_kv_heads: 2, head_dim: 8";
const std::vector<std::string> kGqaArms{"gqa", "mla_identity", "mla_orthogonal"};

const std::vector<Case> kCases{
    {"mistral", kHeads + ", window: 7", kGqaArms},
    {"mixtral", kHeads + ", moe: {n_experts: 4, experts_per_token: 2, d_ff: 24}, norm_eps: 1e-5", kGqaArms},
    {"qwen2", kHeads + ", qkv_bias: true, window: 7, window_layers: [1]", kGqaArms},
    {"qwen3", kHeads + ", qkv_bias: true, o_bias: true", kGqaArms},
    {"gemma2",
     kHeads + ", tie_embeddings: true, window: 7, window_layers: [0], query_scalar: 5, attention_softcap: 20, "
              "final_softcap: 10",
     kGqaArms},
    {"phi3",
     kHeads + ", rotary_dim: 4, max_positions: 64, rope_scaling: {type: longrope, factor: 2, "
              "original_positions: 32, "
              "short_factors: [1, 2], long_factors: [2, 4]}",
     kGqaArms},
    {"deepseek_v3",
     ", n_kv_heads: 4, head_dim: 10, mla: {kv_lora_rank: 12, qk_nope_head_dim: 6, qk_rope_head_dim: 4, "
     "v_head_dim: 8}",
     {"deepseek_mla"}},
    {"deepseek_v3",
     ", n_kv_heads: 4, head_dim: 10, max_positions: 64, mla: {kv_lora_rank: 12, qk_nope_head_dim: 6, "
     "qk_rope_head_dim: 4, v_head_dim: 8}, moe: {n_experts: 4, experts_per_token: 2, d_ff: 8, n_shared: 1, "
     "first_layer: 1, score: sigmoid, scale: 2.5}, rope_scaling: {type: yarn, factor: 4, original_positions: "
     "16, "
     "mscale: 1, mscale_all_dim: 1}",
     {"deepseek_mla"}}};

TEST_CASE("bases of every family are trained, evaluated, saved, and taken up again") {
  for (const Case& family : kCases) {
    INFO(family.name);
    const std::string init = "init: {family: " + family.name + ", " + kSizes + family.init + "}";
    const TinyExperiment first(yaml(init, family.arms));
    const auto outcome = first.run("--set arms.0.train.save_model=true");
    INFO(outcome.output);
    REQUIRE(outcome.code == 0);
    const RunRecord run = read_run(first.file(family.arms[0]));
    REQUIRE(run.train.size() == 2);
    // Exact forms start at the base's loss.
    for (const auto& arm : family.arms)
      CHECK(read_run(first.file(arm)).train[0].loss == Approx(run.train[0].loss).epsilon(1e-5));

    const auto model = (first.out / family.arms[0] / "seed0.model").string();
    const TinyExperiment second(yaml("path: " + model, {family.arms[0]}));
    const auto again = second.run();
    INFO(again.output);
    REQUIRE(again.code == 0);
    // The saved model is the trained one: it starts below where its parent started.
    CHECK(read_run(second.file(family.arms[0])).train[0].loss < run.train[0].loss);
  }
}

TEST_CASE("a variant that the base cannot have is refused by its key") {
  const std::string mla = "init: {family: deepseek_v3, " + kSizes + kCases.back().init + "}";
  const auto of_mla = TinyExperiment(yaml(mla, {"gqa"})).run();
  CHECK(of_mla.code == 2);
  CHECK_THAT(of_mla.output, ContainsSubstring("arms.gqa.variant") && ContainsSubstring("deepseek_mla"));
  const std::string gqa = "init: {family: mistral, " + kSizes + kHeads + "}";
  const auto of_gqa = TinyExperiment(yaml(gqa, {"deepseek_mla"})).run();
  CHECK(of_gqa.code == 2);
  CHECK_THAT(of_gqa.output, ContainsSubstring("arms.deepseek_mla.variant"));
}

TEST_CASE("what a family cannot have is refused by its key") {
  const auto refusal = [](const std::string& family, const std::string& more) {
    const auto outcome =
        TinyExperiment(yaml("init: {family: " + family + ", " + kSizes + kHeads + more + "}", {"gqa"})).run();
    CHECK(outcome.code == 2);
    return outcome.output;
  };
  CHECK_THAT(refusal("llama", ", final_softcap: 10"), ContainsSubstring("base.init.final_softcap: found 10"));
  CHECK_THAT(refusal("mistral", ", qkv_bias: true"), ContainsSubstring("base.init.qkv_bias"));
  CHECK_THAT(refusal("mistral", ", window: 7, window_layers: [1]"),
             ContainsSubstring("base.init.window_layers"));
  CHECK_THAT(refusal("qwen2", ", qkv_bias: true, rotary_dim: 4"), ContainsSubstring("base.init."));
}

}  // namespace
}  // namespace attnlab
