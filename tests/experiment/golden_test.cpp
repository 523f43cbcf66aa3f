// Golden loss curves: every arm in every precision gives the bits that were committed. A change that is not
// meant to change the numbers must leave them; one that is makes them anew and says so.
//
// Bits depend on torch's version and on which kernels the CPU can run. The runs are asked for the plainest
// kernels (threads, ATen, MKL, oneDNN), and the file is chosen by torch's version, the CPU's capability and its
// maker. Where there is no file the test skips and says how to make it.
#include <ATen/Version.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <sstream>

#include "catch.h"
#include "model/precision.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

constexpr const char* plain_kernels =
    "env OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE "
    "DNNL_MAX_CPU_ISA=AVX2 ";

std::string golden_yaml() {
  return R"(experiment: golden
base:
  init: {family: llama, vocab_size: 1024, d_model: 24, n_layers: 2, n_heads: 6, n_kv_heads: 2, head_dim: 4, d_ff: 40}
  tokenizer: )" +
         (test::source_dir() / "data" / "base_small" / "tokenizer.json").string() + R"(
  eos_token: "<|eos|>"
data: {kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8, calibration_tokens: 1024}
arms:
  - {name: gqa, variant: gqa}
  - {name: mla_identity, variant: mla_identity}
  - {name: mla_orthogonal, variant: mla_orthogonal, options: {rank: 3}}
  - {name: mla_v2, variant: mla_v2}
  - {name: mla_deepseek, variant: mla_deepseek, options: {kv_lora_rank: 8, freqfold: 1}}
  - {name: mha2mla, variant: mha2mla, options: {kv_lora_rank: 8}}
  - {name: care, variant: care, options: {rank: 6}}
train: {steps: 4, batch_size: 3, micro_batches: 2, sequence_length: 48, lr: 3e-3, schedule: constant}
eval: {before: false, heldout_examples: 2, problems: 0}
device: cpu
)";
}

// "mla_v2 bf16_mixed 3 0x1.bcp+2 0x1.2p+0": arm, precision, step, loss, the gradient's norm.
std::string curves() {
  std::string lines;
  for (const auto& [precision, unused] : EnumNames<Precision>::rows) {
    const test::TinyExperiment experiment(golden_yaml());
    const auto log = experiment.folder.path() / "log";
    const std::string command = fmt::format(
        "{}{}/run_ablation --threads 1 --config {} --out {} --set train.precision={}", plain_kernels,
        test::bin_dir().string(), experiment.config.string(), experiment.out.string(), precision);
    const int status = std::system((command + " >" + log.string() + " 2>&1").c_str());
    INFO(read_file(log));
    REQUIRE(status == 0);
    for (const auto& run : read_runs(experiment.out))
      for (const auto& row : run.train)
        lines += fmt::format("{} {} {} {:a} {:a}\n", run.header.arm, precision, row.step, row.loss,
                             row.gradient_norm);
  }
  return lines;
}

std::string cpu_maker() {
  std::istringstream in(read_file("/proc/cpuinfo"));
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("vendor_id")) return line.substr(line.find(": ") + 2);
  return "unknown";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (!line.starts_with("#")) lines.push_back(line);
  return lines;
}

TEST_CASE("golden loss curves: every arm in every precision gives the committed bits") {
  const std::string version = TORCH_VERSION, capability = at::get_cpu_capability();
  const std::string key = fmt::format("torch-{}-{}-{}", version, capability, cpu_maker());
  const auto file = test::source_dir() / "tests" / "experiment" / "golden" / (key + ".txt");
  const std::string name = "golden loss curves*";
  if (std::getenv("ATTNLAB_WRITE_GOLDEN") != nullptr) {
    write_file_atomic(file, "# arm, precision, step, loss, gradient norm\n" + curves());
    SUCCEED("written");
    return;
  }
  if (!std::filesystem::exists(file))
    SKIP_TEST(fmt::format(
        "no golden curves for torch {} on a CPU with {} by {}; from a checkout whose numbers are right, "
        "ATTNLAB_WRITE_GOLDEN=1 ATTNLAB_SOURCE=$PWD build/bin/test_experiment '{}' makes {}",
        version, capability, cpu_maker(), name, file.string()));
  const auto expected = lines_of(read_file(file)), found = lines_of(curves());
  REQUIRE(found.size() == 7 * EnumNames<Precision>::rows.size() * 4);
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == expected[i]);
}

}  // namespace
}  // namespace attnlab
