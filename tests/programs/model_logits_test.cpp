// model_logits as a user calls it, on the checkpoint that ships and on those that others' software ran.
#include <cmath>

#include "own_layout.h"
#include "run_program.h"
#include "small_safetensors.h"

namespace attnlab::test {
namespace {

using Ids = std::vector<int64_t>;

std::string base_small() { return (source_dir() / "data" / "base_small").string(); }

class LogitsCall {
 public:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string command(const std::string& model, const std::string& ids) const {
    return "model_logits --device cpu --model '" + model + "' --ids '" + ids + "' --out '" + path("out") + "'";
  }
  FloatTensor run(const Ids& ids, const std::vector<int64_t>& shape, const std::string& more = "") {
    write_file_atomic(path("ids"), safetensors_bytes("input_ids", "I64", shape, ids));
    const Ran outcome = run_program(command(base_small(), path("ids")) + more);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return read_floats(path("out"), "logits");
  }
  // Refused, and nothing written.
  void refuse(const std::string& bytes, const std::string& what) {
    write_file_atomic(path("ids"), bytes);
    check_refused(command(base_small(), path("ids")), what);
    CHECK_FALSE(std::filesystem::exists(path("out")));
  }

 private:
  TemporaryFolder folder_;
};

TEST_CASE("model_logits gives each row of a batch what it gives the row alone") {
  LogitsCall call;
  const FloatTensor both = call.run({1, 50, 60, 70, 1, 80, 90, 99}, {2, 4});
  const FloatTensor second = call.run({1, 80, 90, 99}, {1, 4});
  REQUIRE(both.shape == std::vector<int64_t>{2, 4, 1024});
  REQUIRE(second.shape == std::vector<int64_t>{1, 4, 1024});
  CHECK(std::equal(second.values.begin(), second.values.end(), both.values.begin() + 4 * 1024));
  // A token changes nothing before it and something after it.
  const FloatTensor changed = call.run({1, 80, 91, 99}, {1, 4});
  CHECK(std::equal(changed.values.begin(), changed.values.begin() + 2 * 1024, second.values.begin()));
  CHECK_FALSE(
      std::equal(changed.values.begin() + 3 * 1024, changed.values.end(), second.values.begin() + 3 * 1024));
}

TEST_CASE("model_logits says what it wrote") {
  LogitsCall call;
  write_file_atomic(call.path("ids"), safetensors_bytes("input_ids", "I64", {2, 3}, Ids{1, 2, 3, 4, 5, 6}));
  const Ran outcome = run_program(call.command(base_small(), call.path("ids")));
  CHECK(outcome.out == "logits of 2 sequences of 3 tokens over 1024 ids in " + call.path("out") + "\n");
  CHECK(read_floats(call.path("out"), "logits").shape == std::vector<int64_t>{2, 3, 1024});
}

TEST_CASE("model_logits in bfloat16 is near float32, and not equal") {
  LogitsCall call;
  const FloatTensor wide = call.run({1, 50, 60, 70}, {1, 4}),
                    narrow = call.run({1, 50, 60, 70}, {1, 4}, " --dtype bfloat16");
  double largest = 0, worst = 0;
  for (size_t i = 0; i < wide.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(wide.values[i])));
    worst = std::max(worst, std::abs(static_cast<double>(wide.values[i]) - narrow.values[i]));
  }
  CHECK(worst > 0);
  // 2⁻⁸ for each of some 30 roundings along 6 layers, adding up as their root, and as much again for the tail.
  CHECK(worst < 2 * std::sqrt(30.0) / 256 * largest);
}

TEST_CASE("model_logits reads a converted model in the project's own layout") {
  LogitsCall call;
  const FloatTensor expected = call.run({1, 50, 60, 70, 80}, {1, 5});
  const OwnLayout own;
  REQUIRE(run_program(call.command(own.path(), call.path("ids"))).code == 0);
  const FloatTensor found = read_floats(call.path("out"), "logits");
  REQUIRE(found.shape == expected.shape);
  double largest = 0, worst = 0;
  for (size_t i = 0; i < found.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected.values[i])));
    worst = std::max(worst, std::abs(static_cast<double>(expected.values[i]) - found.values[i]));
  }
  // The same sums, perhaps in another order: 2⁻²⁴ for each of some 30 roundings along 6 layers of sums over the
  // width, 2¹⁰ terms at most.
  CHECK(worst < 30 * std::exp2(-24 + 10) * largest);
  own.write(own_config(own.base, "mla_v2", {{"groups", 0}}));
  check_refused(call.command(own.path(), call.path("ids")), "config.json: options.groups: found '0'");
  own.write(own_config(own.base, "mla_identity", nlohmann::json::object()));
  check_refused(call.command(own.path(), call.path("ids")), "k_up_proj.weight: found no such tensor");
}

TEST_CASE("model_logits refuses ids that the model does not have, and files without them") {
  LogitsCall call;
  call.refuse(safetensors_bytes("input_ids", "I64", {1, 2}, Ids{3, 1024}),
              "input_ids: found id 1024, expected ids from 0 to 1023");
  call.refuse(safetensors_bytes("input_ids", "I64", {1, 2}, Ids{-1, 4}), "found id -1");
  call.refuse(safetensors_bytes("input_ids", "I64", {2}, Ids{3, 4}), "found 1 dimensions");
  call.refuse(safetensors_bytes("input_ids", "I64", {0, 4}, Ids{}), "shape [B, T]");
  call.refuse(safetensors_bytes("input_ids", "F32", {1, 2}, std::vector<float>{3, 4}), "expected I64 or I32");
  call.refuse(safetensors_bytes("input_id", "I64", {1, 2}, Ids{3, 4}), "did you mean 'input_id'?");
  call.refuse("nothing of the kind", "ids");
  check_refused("model_logits --ids x --out y", "--model");
  check_refused("model_logits --model '" + base_small() + "' --ids /nowhere --out y", "/nowhere");
  check_refused("model_logits --model /nowhere --ids x --out y", "/nowhere");
}

TEST_CASE("model_logits computes what Hugging Face transformers computes") {
  const auto folder = shared_dir() / "fixtures" / "hf";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no reference checkpoints beside the checkout");
  for (const char* name : {"llama32_rope_scaled_tied", "mixtral_moe", "gemma2_softcap_alternating",
                           "phi4_mini_longrope_partial", "deepseek_v3_mla_q_lora"}) {
    INFO(name);
    LogitsCall call;
    const auto reference = folder / name / "reference.safetensors";
    REQUIRE(run_program(call.command((folder / name).string(), reference.string())).code == 0);
    const FloatTensor found = read_floats(call.path("out"), "logits"),
                      expected = read_floats(reference, "logits");
    REQUIRE(found.shape == expected.shape);
    double worst = 0;
    for (size_t i = 0; i < found.values.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(found.values[i]) - expected.values[i]));
    CHECK(worst < 1e-4);  // twice the reference's own distance to float64, of its tied checkpoints
  }
}

}  // namespace
}  // namespace attnlab::test
