#include <nlohmann/json.hpp>

#include "own_layout.h"
#include "run_program.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::check_refused;
using test::Ran;
using test::run_program;

// Llama-2-7B as the hub has it.
json llama2_7b() {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 4096},
          {"intermediate_size", 11008},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 32},
          {"vocab_size", 32000},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"max_position_embeddings", 4096},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float16"}};
}

class ModelFolder {
 public:
  explicit ModelFolder(const json& config) { write_file_atomic(file(), config.dump()); }
  std::string file() const { return (folder_.path() / "config.json").string(); }
  std::string path() const { return folder_.path().string(); }
  json report(const std::string& options = "") const {
    const Ran outcome = run_program("inspect_model --json --model " + path() + " " + options);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return json::parse(outcome.out);
  }

 private:
  test::TemporaryFolder folder_;
};

json form(const json& report, const std::string& name) {
  for (const auto& row : report["forms"])
    if (row["form"] == name) return row;
  FAIL("no form " << name);
  return {};
}

}  // namespace

TEST_CASE("a config alone gives shapes, parameters and caches") {
  const ModelFolder model(llama2_7b());
  const json report = model.report("--context 4096");
  CHECK(report["weights"].is_null());
  CHECK(report["dtype"] == "float16");
  CHECK(report["parameters"]["total"] == 6738415616);  // "7B"
  CHECK(report["forms"][0]["form"] == "mha");
  CHECK(form(report, "mha")["bytes_per_token"] == 524288);  // 2 · 32 layers · 4096 · 2 bytes
  CHECK(form(report, "mha")["cache_bytes"] == 4096.0 * 524288);
  CHECK(form(report, "deepseek_mla")["kept_per_token_and_layer"] == 576);
  const Ran text = run_program("inspect_model --model " + model.path());
  CHECK(text.code == 0);
  for (const char* part : {"none (config.json says float16)", "6,738,415,616 (6.74 B)", "mha (this model)",
                           "-93.0 %", "1 sequence of 4,096 tokens at 16 bits"})
    CHECK_THAT(text.out, ContainsSubstring(part));
  CHECK(run_program("inspect_model --config " + model.file()).code == 0);
}

TEST_CASE("variants are listed at a part of the cache, and those that have no such size are named") {
  const std::string command = "inspect_model --model " + test::base() + " --cache 0.25";
  const json report = json::parse(run_program(command + " --json").out);
  CHECK(form(report, "gqa")["kept_per_token_and_layer"] == 128);
  CHECK(form(report, "mla_orthogonal")["kept_per_token_and_layer"] == 32);
  CHECK_THAT(run_program(command).out,
             ContainsSubstring("not at 25 % of the cache") && ContainsSubstring("mla_identity"));
  for (const char* share : {"0", "1.5", "-1"})
    check_refused("inspect_model --model " + test::base() + " --cache=" + share,
                  "expected more than 0, up to 1");
}

TEST_CASE("the budget takes tokens with suffixes, sequences, bits and ranks") {
  json config = llama2_7b();
  config["num_hidden_layers"] = 80;
  config["num_attention_heads"] = 64;
  config["num_key_value_heads"] = 8;
  config["hidden_size"] = 8192;
  const ModelFolder model(config);
  const Ran paper = run_program("inspect_model --context 512K --kv-bits 8 --model " + model.path());
  CHECK_THAT(paper.out, ContainsSubstring("85.9 GB"));
  const double once = form(model.report("--context 1M --kv-bits 8"), "gqa")["cache_bytes"];
  CHECK(once == 2 * 85899345920.0);
  const json more =
      model.report("--context 1048576 --kv-bits 4 --batch 3 --kv-lora-rank 100 --qk-rope-head-dim 28");
  CHECK(form(more, "gqa")["cache_bytes"] == once * 3 / 2);
  CHECK(form(more, "deepseek_mla")["kept_per_token_and_layer"] == 128);
}

TEST_CASE("of experts the text says how many are active") {
  json config = llama2_7b();
  config.update({{"model_type", "mixtral"}, {"num_local_experts", 8}, {"num_experts_per_tok", 2}});
  const ModelFolder model(config);
  const json counts = model.report()["parameters"];
  CHECK(counts["total"].get<int64_t>() - counts["active_per_token"].get<int64_t>() ==
        int64_t{32} * 6 * 3 * 4096 * 11008);
  CHECK_THAT(run_program("inspect_model --model " + model.path()).out,
             ContainsSubstring("8 experts, 2 per token") && ContainsSubstring("active per token"));
}

TEST_CASE("DeepSeek's experts and its scaled rotary are told in words") {
  json config = llama2_7b();
  config.update({{"model_type", "deepseek_v3"}, {"q_lora_rank", nullptr}, {"kv_lora_rank", 512}});
  config.update({{"qk_nope_head_dim", 128}, {"qk_rope_head_dim", 64}, {"v_head_dim", 128}});
  config["rope_scaling"] = {{"type", "yarn"}, {"factor", 40}, {"original_max_position_embeddings", 1024}};
  const ModelFolder model(config);
  const std::string text = run_program("inspect_model --model " + model.path()).out;
  CHECK_THAT(text,
             ContainsSubstring("256 experts, 8 per token out of 4 of 8 groups, d_ff 2048, 1 shared, in 29 "
                               "layers; d_ff 11008 in the others"));
  CHECK_THAT(text,
             ContainsSubstring("yarn, theta 10000, factor 40, trained on 1024, cos and sin times 1.36889"));
  CHECK_THAT(text, ContainsSubstring("4096, stretched to 40960"));
}

TEST_CASE("the shipped model's headers agree with its config") {
  const auto base = test::source_dir() / "data" / "base_small";
  const Ran outcome = run_program("inspect_model --json --model " + base.string());
  REQUIRE(outcome.code == 0);
  const json report = json::parse(outcome.out);
  CHECK(report["weights"]["parameters"] == report["parameters"]["total"]);
  CHECK(report["weights"]["dtypes"].contains("float32"));
}

TEST_CASE("of a converted model inspect_model says the variant, its parameters and its cache") {
  json base = llama2_7b();
  base["num_key_value_heads"] = 8;
  const json plain = ModelFolder(base).report();
  const ModelFolder model(test::own_config(base, "mla_orthogonal", {{"rank", 12}}));
  const json report = model.report();
  CHECK(report["family"] == "llama");
  CHECK(report["converted"]["variant"] == "mla_orthogonal");
  CHECK(report["converted"]["options"]["rank"] == 12);
  CHECK(report["forms"][0]["form"] == "mla_orthogonal");
  CHECK(report["forms"][0]["own"] == true);
  CHECK(report["forms"][0]["kept_per_token_and_layer"] == 2 * 8 * 12);
  CHECK(form(report, "gqa")["own"] == false);
  // q and o, the latents of keys and values, and the two up-projections.
  const int64_t attention = 32 * (2 * 4096 * 4096 + 2 * 96 * 4096 + 2 * 4096 * 96);
  CHECK(report["parameters"]["attention"] == attention);
  CHECK(report["forms"][0]["attention_parameters"] == attention);
  const auto count = [](const json& from, const char* key) { return from["parameters"][key].get<int64_t>(); };
  for (const char* key : {"total", "active_per_token"})
    CHECK(count(report, key) - count(plain, key) == attention - count(plain, "attention"));
  const Ran text = run_program("inspect_model --model " + model.path());
  for (const char* part : {"llama, converted", "rank 12", "mla_orthogonal (this model)"})
    CHECK_THAT(text.out, ContainsSubstring(part));

  const ModelFolder deepseek(test::own_config(base, "mla_deepseek", {{"kv_lora_rank", 512}, {"collapse", 2}}));
  CHECK(deepseek.report()["forms"][0]["kept_per_token_and_layer"] == 512 + 128 / 2);
  const test::OwnLayout own;
  const Ran weights = run_program("inspect_model --json --model " + own.path());
  REQUIRE(weights.code == 0);
  const json whole = json::parse(weights.out);
  CHECK(whole["weights"]["parameters"] == whole["parameters"]["total"]);
}

TEST_CASE("all reference checkpoints are read, and their headers agree with their configs") {
  const auto folder = test::shared_dir() / "fixtures" / "hf";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no reference checkpoints beside the checkout");
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    INFO(entry.path());
    const Ran outcome = run_program("inspect_model --json --model " + entry.path().string());
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const json report = json::parse(outcome.out);
    CHECK(report["weights"]["parameters"] == report["parameters"]["total"]);
    CHECK(run_program("inspect_model --context 1K --model " + entry.path().string()).code == 0);
    ++models;
  }
  CHECK(models == 15);
}

TEST_CASE("inspect_model refuses what it cannot use in one line") {
  const ModelFolder model(llama2_7b());
  const std::string with_model = "inspect_model --model " + model.path() + " ";
  check_refused("inspect_model", "either --model DIR or --config FILE");
  check_refused(with_model + "--config " + model.file(), "either --model DIR or --config FILE");
  check_refused(with_model + "--kvbits 8", "did you mean '--kv-bits'?");
  for (const char* context : {"0", "-1", "x", "5G", "K", "1.5K", "99999999999999", "9999999M"})
    check_refused(with_model + "--context " + context, "--context");
  check_refused(with_model + "--batch 0", "--batch: found 0");
  check_refused(with_model + "--kv-bits 65", "--kv-bits: found 65");
  check_refused(with_model + "--kv-lora-rank 0", "--kv-lora-rank: found 0");
  check_refused("inspect_model --model /nowhere/at/all", "/nowhere/at/all: found nothing there");
  check_refused("inspect_model --config " + model.path(), model.path());
}

TEST_CASE("inspect_model refuses folders and configs that are no models") {
  const test::TemporaryFolder empty;
  check_refused("inspect_model --model " + empty.path().string(), "config.json");
  json family = llama2_7b();
  family["model_type"] = "lama";
  check_refused("inspect_model --model " + ModelFolder(family).path(), "did you mean 'llama'?");
  check_refused("inspect_model --model " +
                    ModelFolder(test::own_config(llama2_7b(), "mla_orthogonal", {{"rank", 129}})).path(),
                "config.json: options.rank: found 129");
  json sizes = llama2_7b();
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers"}) sizes[key] = 2147483648;
  sizes["head_dim"] = 128;
  check_refused("inspect_model --model " + ModelFolder(sizes).path(), "config.json: ");
  const ModelFolder broken(llama2_7b());
  write_file_atomic(broken.path() + "/model.safetensors", "no weights");
  check_refused("inspect_model --model " + broken.path(), "model.safetensors");
}

}  // namespace attnlab
