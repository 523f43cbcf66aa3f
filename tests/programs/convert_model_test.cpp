#include <fmt/format.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "run_program.h"
#include "small_safetensors.h"

namespace attnlab::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

using test::base;

// Sums in words, enough of them for a calibration of 96 directions.
std::string story(const fs::path& folder, int sentences) {
  std::string text;
  for (int i = 0; i < sentences; ++i)
    text += fmt::format("Mia has {} apples and buys {} more. Now she has {} apples.\n", i % 17, i % 23,
                        i % 17 + i % 23);
  const auto file = folder / "story.txt";
  write_file_atomic(file, text);
  return file.string();
}

std::string convert_command(const fs::path& out, const std::string& rest, const std::string& device = "cpu") {
  return fmt::format("convert_model --model {} --out {} --device '{}' {}", base(), out.string(), device, rest);
}

std::vector<float> logits_of(const std::string& model, const fs::path& folder) {
  const auto ids = folder / "ids.safetensors", out = folder / "logits.safetensors";
  std::vector<int64_t> values;
  for (int64_t i = 0; i < 40; ++i) values.push_back((i * 37 + 5) % 1024);
  write_file_atomic(ids, safetensors_bytes("input_ids", "I64", {1, 40}, values));
  const auto run = run_program(
      fmt::format("model_logits --model {} --ids {} --out {} --device cpu", model, ids.string(), out.string()));
  INFO(run.err);
  REQUIRE(run.code == 0);
  return read_floats(out, "logits").values;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max<double>(worst, std::abs(a[i] - b[i]));
  return worst;
}

json stage_of(const json& report, const std::string& name) {
  for (const auto& stage : report.at("stages"))
    if (stage.at("name") == name) return stage;
  FAIL("no stage " << name);
  return {};
}

TEST_CASE("convert_model: an exact form gives the base's logits from its own layout, tokenizer beside it") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "orthogonal";
  const auto run = run_program(convert_command(out, "--to mla_orthogonal"));
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.out, ContainsSubstring("mla_orthogonal exact"));
  CHECK(json::parse(read_file(out / "config.json")).at("model_type") == "attnlab");
  CHECK(fs::exists(out / "tokenizer.json"));
  CHECK_FALSE(fs::exists(out / ".conversion"));
  // Logits reach 30; 6 layers of float32.
  const double moved = distance(logits_of(out.string(), folder.path()), logits_of(base(), folder.path()));
  CHECK(moved > 0);
  CHECK(moved < 1e-3);
}

TEST_CASE(
    "convert_model: DeepSeek-V3 at the full rank computes what rotary removal left, and is measured at each "
    "stage") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "deepseek";
  const auto run = run_program(
      convert_command(out, "--to mla_deepseek --set freqfold=1 --calibration " + story(folder.path(), 200)));
  INFO(run.err);
  REQUIRE(run.code == 0);
  const json config = json::parse(read_file(out / "config.json"));
  CHECK(config.at("model_type") == "deepseek_v3");
  CHECK(config.at("kv_lora_rank") == 97);  // 2 KV heads x 2 x 32 - 32, and the constant
  const json report = json::parse(read_file(out / "conversion.json"));
  for (const char* exact : {"rotate", "compress", "export"}) {
    const json stage = stage_of(report, exact);
    CHECK(stage.at("exact") == true);
    CHECK(stage.at("max_logit_difference_from_stage_before").get<double>() <=
          stage.at("rounding_tolerance").get<double>());
  }
  CHECK(stage_of(report, "remove_rope").at("from_base").at("max_logit_difference").get<double>() > 0.1);
  CHECK(stage_of(report, "rotate").at("layers").size() == 6);
  CHECK(stage_of(report, "export").at("cached_numbers_per_token") == 6 * (97 + 32));
  CHECK(report.at("base").at("cached_numbers_per_token") == 768);
  CHECK(logits_of(out.string(), folder.path()).size() == 40 * 1024);
}

TEST_CASE("convert_model: what is measured, and how finely, leaves the model alone") {
  const TemporaryFolder folder;
  const std::string rest =
      "--to mla_deepseek --set freqfold=1 --set kv_lora_rank=48 --calibration " + story(folder.path(), 200);
  const auto all = folder.path() / "all", ends = folder.path() / "ends";
  REQUIRE(run_program(convert_command(all, rest)).code == 0);
  const auto run = run_program(convert_command(ends, rest + " --measure ends --heldout-precision bf16_mixed"));
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.out, ContainsSubstring("not measured"));
  CHECK(read_file(ends / "model.safetensors") == read_file(all / "model.safetensors"));
  const json last = json::parse(read_file(ends / "conversion.json")).at("stages").back();
  CHECK(last.at("from_base").at("perplexity_after").get<double>() ==
        Approx(stage_of(json::parse(read_file(all / "conversion.json")), last.at("name"))
                   .at("from_base")
                   .at("perplexity_after")
                   .get<double>())
            .epsilon(0.02));
  check_refused(convert_command(folder.path() / "no", rest + " --measure some"), "--measure: found 'some'");
}

TEST_CASE("convert_model: freqfold auto takes a value with which it can be repeated") {
  const TemporaryFolder folder;
  const std::string text = story(folder.path(), 200);
  const auto first = folder.path() / "first", second = folder.path() / "second";
  const Ran found =
      run_program(convert_command(first, "--to mla_deepseek --set kv_lora_rank=40 --calibration " + text));
  REQUIRE(found.code == 0);
  const json report = json::parse(read_file(first / "conversion.json"));
  const auto freqfold = report.at("settled_options").at("freqfold").get<std::string>();
  CHECK(freqfold != "auto");
  CHECK_THAT(found.out, ContainsSubstring("chosen: freqfold=" + freqfold + "\n"));
  const auto again = run_program(convert_command(
      second, "--to mla_deepseek --set kv_lora_rank=40 --set freqfold=" + freqfold + " --calibration " + text));
  REQUIRE(again.code == 0);
  CHECK(read_file(first / "model.safetensors") == read_file(second / "model.safetensors"));
}

// Kills a conversion behind its first layer, and lets it go on, on other devices.
void check_killed(const std::string& to, const std::string& device_behind = "cpu") {
  INFO(to);
  const TemporaryFolder folder;
  const std::string text = story(folder.path(), 800);
  const auto whole = folder.path() / "whole", killed = folder.path() / "killed";
  const std::string options = to + " --calibration " + text;
  REQUIRE(run_program(convert_command(whole, options)).code == 0);
  const std::string program = bin_dir().string() + "/" + convert_command(killed, options);
  std::system(
      ("(" + program + " >/dev/null 2>&1 & echo $! >" + (folder.path() / "pid").string() + ")").c_str());
  const auto pid = static_cast<pid_t>(std::stol(read_file(folder.path() / "pid")));
  for (int i = 0; i < 3000 && !fs::exists(killed / ".conversion" / "layer-00001.safetensors"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  kill(pid, SIGKILL);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK_FALSE(fs::exists(killed / "model.safetensors"));
  check_refused(convert_command(killed, options + " --heldout-tokens 1024"), "begun with another");
  const auto resumed = run_program(convert_command(killed, options, device_behind));
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK_THAT(resumed.err, !ContainsSubstring("layer 1 of 6"));
  CHECK(read_file(killed / "model.safetensors") == read_file(whole / "model.safetensors"));
  CHECK(read_file(killed / "conversion.json") == read_file(whole / "conversion.json"));
}

TEST_CASE("convert_model: ranks follow from a part of the cache, and what an export adds is told") {
  const TemporaryFolder folder;
  const std::string text = story(folder.path(), 200);
  const auto converted = [&](const std::string& how) {
    return run_program(convert_command(folder.path() / how.substr(5, 8), how));
  };
  const Ran orthogonal = converted("--to mla_orthogonal --set cache=0.5");
  CHECK(orthogonal.code == 0);
  CHECK_THAT(orthogonal.out, ContainsSubstring("(50.0 %)") && !ContainsSubstring("kept:"));
  const Ran deepseek = converted("--to mla_deepseek --set cache=0.75 --calibration " + text);
  INFO(deepseek.err);
  CHECK(deepseek.code == 0);
  CHECK_THAT(deepseek.out,
             ContainsSubstring("(75.0 %)") && ContainsSubstring("numbers a token where the form has"));
  check_refused(convert_command(folder.path() / "no", "--to mla_identity --set cache=0.5"),
                "--set: cache: found");
  check_refused(convert_command(folder.path() / "no", "--to mla_orthogonal --set cache=2"),
                "--set cache=2: cache: found '2'");
}

TEST_CASE("convert_model: a conversion that was killed goes on and gives the same bytes") {
  check_killed("--to mla_deepseek --set freqfold=2 --set kv_lora_rank=48 --threads 1", "cpu,cpu");
  check_killed("--to gptq --set bits=3 --set group_size=64 --set act_order=true --set sym=false --tokens 8192");
}

TEST_CASE(
    "convert_model: quantised weights load packed, behind a converted attention, too, and are refused as a "
    "base") {
  const TemporaryFolder folder;
  const std::string text = story(folder.path(), 800);
  const auto plain = folder.path() / "plain", latent = folder.path() / "latent";
  const std::string rest = " --tokens 8192 --calibration " + text;
  REQUIRE(run_program(convert_command(plain, "--to gptq --set bits=8 --set group_size=64" + rest)).code == 0);
  const auto config = json::parse(read_file(plain / "config.json"));
  CHECK(config.at("model_type") == "llama");
  CHECK(config.at("quantization_config").at("bits") == 8);
  CHECK(json::parse(read_file(plain / "quantize_config.json")) == config.at("quantization_config"));
  const auto report = json::parse(read_file(plain / "conversion.json"));
  const auto stage = stage_of(report, "gptq");
  CHECK(stage.at("layers").at(5).at("mlp.down_proj of rounding") < 1);
  CHECK(stage.at("weight_bytes") < report.at("base").at("weight_bytes"));
  // 8 bits move logits little; that they do is no accident of the file.
  const double moved = distance(logits_of(plain.string(), folder.path()), logits_of(base(), folder.path()));
  CHECK(moved < 1);
  CHECK(moved > 1e-4);
  REQUIRE(run_program(convert_command(latent,
                                      "--to mla_deepseek --set kv_lora_rank=64 --set freqfold=2 --then "
                                      "'gptq bits=8 group_size=-1'" +
                                          rest))
              .code == 0);
  CHECK(json::parse(read_file(latent / "config.json")).at("model_type") == "attnlab");
  CHECK(logits_of(latent.string(), folder.path()).size() == 40 * 1024);
  const auto again = folder.path() / "again";
  check_refused(
      fmt::format("convert_model --model {} --to mla_identity --out {}", plain.string(), again.string()),
      "found weights of 8 bits, expected whole weights: convert first, quantise last");
  check_refused(
      fmt::format("run_ablation --config {}/experiments/quickstart/exp.yaml --set base.path={} --out {}",
                  source_dir().string(), plain.string(), again.string()),
      "whose weights are quantised to 8 bits, expected the checkpoint that they were made from: packed "
      "integers can't be trained");
  check_refused(convert_command(again, "--to gptq --set group_size=100" + rest), "group_size: found 100");
  check_refused(convert_command(again, "--to gptq --set group_size=64"), "--calibration: found nothing");
  check_refused(convert_command(again, "--to gptq --set group_size=64 --tokens 256 --calibration " + text),
                "expected at least 512: as many directions are estimated");
}

TEST_CASE("convert_model: devices that share the text give the bytes of one") {
  const TemporaryFolder folder;
  const std::string options =
      "--to mla_deepseek --set kv_lora_rank=48 --set latent_norm=calibrated --threads 1 "
      "--tokens 8192 --calibration " +
      story(folder.path(), 800);
  const auto one = folder.path() / "one", three = folder.path() / "three";
  REQUIRE(run_program(convert_command(one, options)).code == 0);
  const Ran shared = run_program(convert_command(three, options, "cpu,cpu,cpu"));
  INFO(shared.err);
  REQUIRE(shared.code == 0);
  for (const char* file : {"model.safetensors", "conversion.json", "config.json"}) {
    CAPTURE(file);
    CHECK(read_file(three / file) == read_file(one / file));
  }
}

TEST_CASE("convert_model: devices that can't share are named before any work") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const auto on = [&](const std::string& devices) {
    return convert_command(out, "--to mla_identity", devices);
  };
  check_refused(on("cpu,cuda:97"), "--device: found 'cuda:97', expected one of auto, cpu");
  check_refused(on("cpu,"), "--device: found '', expected one of auto, cpu");
  check_refused(on(""), "--device: found '', expected one of auto, cpu");
  check_refused(on("cpu,,cpu"), "--device: found '', expected one of auto, cpu");
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("convert_model: what can't be done is said before any work") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const std::string text = story(folder.path(), 200), shorter = story(folder.path() / "short", 12);
  check_refused(convert_command(out, "--to mla_deepsek"), "did you mean 'mla_deepseek'?");
  check_refused(convert_command(out, "--to mla_deepseek"), "--calibration: found nothing");
  check_refused(convert_command(out, "--to mla_deepseek --set kv_lora_rank=97 --calibration " + text),
                "kv_lora_rank: found 97, expected at most 96");
  check_refused(convert_command(out, "--to mla_deepseek --set freqfold=3 --calibration " + text),
                "freqfold: found '3'");
  check_refused(convert_command(out, "--to mla_deepseek --set collapse=5 --calibration " + text),
                "collapse: found 5");
  check_refused(convert_command(out, "--to mla_deepseek --set kv_rank=5 --calibration " + text),
                "kv_rank: found an unknown key, expected one of kv_lora_rank");
  check_refused(convert_command(out, "--to mla_deepseek --row-length 32 --tokens 64 --calibration " + shorter),
                "expected at least 96: as many directions are estimated");
  check_refused(convert_command(out, "--to mla_v2 --set groups=3"), "groups: found 3");
  check_refused(convert_command(folder.path(), "--to mla_identity"), "which is not empty");
  CHECK_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace attnlab::test
