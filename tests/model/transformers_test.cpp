// Tiny checkpoints that Hugging Face transformers 5.24 ran (scripts/make_reference.py --cases): YaRN, dynamic
// NTK, DeepSeek's mixtures of experts, Gemma 3. Logits, losses, gradients and greedy tokens must agree.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "model/generate.h"

namespace attnlab {
namespace {

using nlohmann::json;

const std::vector<std::string> kReferences{
    "qwen2_yarn",  "llama_yarn",        "llama_dynamic", "deepseek_v2_greedy", "deepseek_v2_groups",
    "deepseek_v3", "deepseek_v3_plain", "gemma3",        "gemma3_typed"};

// values() of the script: 24-bit numbers in [-1, 1) from FNV-1a of the name and SplitMix64.
torch::Tensor reference_values(const std::string& name, torch::IntArrayRef shape) {
  uint64_t state = 0xCBF29CE484222325;
  for (const char letter : name) state = (state ^ static_cast<unsigned char>(letter)) * 0x100000001B3;
  const auto out = torch::empty(shape);
  auto* numbers = out.data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    numbers[i] = std::ldexp(static_cast<float>(z >> 40) - 0x1p23F, -23);
  }
  return out;
}

struct Reference {
  json made;
  DecoderConfig config;
  TensorMap weights;

  explicit Reference(const std::string& name) {
    std::ifstream file(test::source_dir() / "tests/model/references" / (name + ".json"));
    made = json::parse(file);
    config = read_decoder_config(made.at("config"), name);
    for (const auto& [parameter, tensor] : random_base_weights(config, 0)) {
      const auto unit = reference_values(parameter, tensor.sizes());
      const double one = traits_of(config.family).norm_plus_one ? 0 : 1;
      weights[parameter] = parameter.ends_with("norm.weight") ? one + unit / 4 : unit / 2;
    }
  }
  std::shared_ptr<Decoder> decoder() const {
    auto made_decoder = std::make_shared<Decoder>(native_form(config));
    load_weights(*made_decoder, weights);
    return made_decoder;
  }
};

torch::Tensor ids_of(const json& run) {
  std::vector<torch::Tensor> rows;
  for (const auto& row : run.at("ids")) rows.push_back(torch::tensor(row.get<std::vector<int64_t>>()));
  return torch::stack(rows);
}

// Float32 logits of these models are up to 2e-5 from float64 ones.
void check_reference_logits(const torch::Tensor& logits_BTV, const json& run) {
  const auto positions = run.at("positions").get<std::vector<int64_t>>();
  double worst = 0;
  for (size_t b = 0; b < run.at("logits").size(); ++b)
    for (size_t i = 0; i < positions.size(); ++i) {
      const auto expected = torch::tensor(run.at("logits")[b][i].get<std::vector<float>>());
      const auto found = logits_BTV[static_cast<int64_t>(b)][positions[i]];
      worst = std::max(worst, (found - expected).abs().max().item<double>());
    }
  CHECK(worst < 1e-4);
}

TEST_CASE("logits with yarn, dynamic frequencies, DeepSeek's experts and Gemma 3 are those of transformers") {
  const torch::NoGradGuard no_grad;
  for (const auto& name : kReferences) {
    INFO(name);
    const Reference reference(name);
    const auto decoder = reference.decoder();
    for (const json& run : {reference.made, reference.made.value("short", reference.made)})
      check_reference_logits(decoder->logits(decoder->hidden(ids_of(run))), run);
  }
}

// Norm, and the product with a fixed direction.
void check_reference_gradients(const Decoder& decoder, const json& expected) {
  size_t compared = 0;
  for (const auto& parameter : decoder.named_parameters()) {
    const auto found = expected.find(parameter.key());
    if (!parameter.value().requires_grad()) {
      CHECK(found == expected.end());
      continue;
    }
    INFO(parameter.key());
    REQUIRE(found != expected.end());
    ++compared;
    const auto& grad = parameter.value().grad();
    const double norm = grad.defined() ? grad.norm().item<double>() : 0;
    const double expected_norm = found->at(0).get<double>();
    CHECK(std::abs(norm - expected_norm) < 1e-4 * expected_norm + 1e-7);
    if (!grad.defined()) continue;
    const auto direction = reference_values("direction/" + parameter.key(), grad.sizes());
    CHECK(std::abs((grad * direction).sum().item<double>() - found->at(1).get<double>()) <
          1e-4 * expected_norm * direction.norm().item<double>() + 1e-7);
  }
  CHECK(compared == expected.size());
}

TEST_CASE(
    "losses and gradients with yarn, dynamic frequencies, DeepSeek's experts and Gemma 3 are those of "
    "transformers") {
  for (const auto& name : kReferences) {
    const Reference reference(name);
    for (const json& run : {reference.made, reference.made.value("short", reference.made)}) {
      const auto decoder = reference.decoder();
      const auto ids = ids_of(run);
      const int64_t T = ids.size(1);
      INFO(name << ", T = " << T);
      const auto logits = decoder->logits(decoder->hidden(ids));
      const auto loss =
          at::cross_entropy_loss(logits.narrow(1, 0, T - 1).flatten(0, 1), ids.narrow(1, 1, T - 1).flatten());
      CHECK(loss.item<double>() == Approx(run.at("loss").get<double>()).epsilon(1e-5));
      loss.backward();
      check_reference_gradients(*decoder, run.at("gradients"));
    }
  }
}

TEST_CASE(
    "greedy tokens with yarn, dynamic frequencies, DeepSeek's experts and Gemma 3 are those of transformers") {
  for (const auto& name : kReferences) {
    INFO(name);
    const Reference reference(name);
    const auto& greedy = reference.made.at("greedy");
    REQUIRE(greedy.at("margin").get<double>() > 2e-4);  // no near ties
    const auto tokens = greedy.at("tokens").get<std::vector<int64_t>>();
    const auto prompt = greedy.at("prompt").get<std::vector<int64_t>>();
    for (const int64_t chunk : {3, 512})
      CHECK(generate(*reference.decoder(), {prompt},
                     {.max_new_tokens = static_cast<int64_t>(tokens.size()), .prefill_chunk = chunk})[0] ==
            tokens);
  }
}

// In transformers' own words and in ours: `type` or `rope_type`, rope_scaling or rope_parameters.
TEST_CASE("the reference checkpoints are the same models behind saving and loading") {
  const torch::NoGradGuard no_grad;
  for (const auto& name : kReferences) {
    INFO(name);
    const Reference reference(name);
    const test::TemporaryFolder folder;
    write_checkpoint(folder.path(), write_decoder_config(reference.config),
                     to_file_tensors(reference.config, reference.weights));
    const auto checkpoint = Checkpoint::open(folder.path());
    CHECK(fields_equal(read_decoder_config(checkpoint.config(), "config.json"), reference.config));
    const auto decoder = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
    check_reference_logits(decoder->logits(decoder->hidden(ids_of(reference.made))), reference.made);
  }
}

}  // namespace
}  // namespace attnlab
