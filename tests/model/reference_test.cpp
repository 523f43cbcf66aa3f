// Checkpoints that Hugging Face transformers ran: logits, loss, greedy tokens and gradients must agree.
#include <nlohmann/json.hpp>

#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "model/generate.h"

namespace attnlab {
namespace {

const std::vector<std::string> supported{"llama2_mha",       "llama3_gqa",    "llama3_gqa_bf16_sharded",
                                         "qwen25_bias_tied", "qwen25_untied", "mistral_nemo_head_dim"};

struct Fixture {
  Checkpoint checkpoint;
  SafetensorsFile reference;
  DecoderConfig config;
  TensorMap weights;
  Decoder decoder;

  explicit Fixture(const std::filesystem::path& folder)
      : checkpoint(Checkpoint::open(folder)),
        reference(SafetensorsFile::open(folder / "reference.safetensors")),
        config(read_decoder_config(checkpoint.config(), folder / "config.json")),
        weights(read_base_weights(checkpoint, config)),
        decoder(config, Gqa::Config{}) {
    load_weights(decoder, weights);
  }
};

std::filesystem::path fixtures() { return test::shared_dir() / "fixtures" / "hf"; }

// Two float32 programs that add in different orders: each is within a few eps · √(terms) · layers of the exact
// value; the fixtures' own distance between float32 and float64 is 7e-6 at deviation 1.3 (5e-5 at 8).
double tolerance(const torch::Tensor& reference) {
  return 2e-5 * std::max(1.0, reference.abs().max().item<double>());
}

TEST_CASE("logits and loss are those of Hugging Face transformers") {
  if (!std::filesystem::exists(fixtures())) SKIP_TEST("no reference checkpoints beside the checkout");
  const torch::NoGradGuard no_grad;
  for (const auto& name : supported) {
    INFO(name);
    Fixture fixture(fixtures() / name);
    const auto expected = fixture.reference.tensor("logits");
    const auto logits = fixture.decoder.logits(fixture.decoder.hidden(fixture.reference.tensor("input_ids")));
    REQUIRE(logits.sizes() == expected.sizes());
    CHECK((logits - expected).abs().max().item<double>() < tolerance(expected));
  }
}

TEST_CASE("each exact variant gives the checkpoint's logits") {
  if (!std::filesystem::exists(fixtures())) SKIP_TEST("no reference checkpoints beside the checkout");
  const torch::NoGradGuard no_grad;
  for (const auto& name : supported) {
    Fixture fixture(fixtures() / name);
    const auto expected = fixture.reference.tensor("logits");
    for (const auto& variant : variant_names()) {
      INFO(name << " as " << variant);
      const auto config = *variant_defaults(variant);
      Decoder decoder(fixture.config, config);
      load_weights(decoder, convert_weights(fixture.weights, fixture.config, config));
      const auto logits = decoder.logits(decoder.hidden(fixture.reference.tensor("input_ids")));
      CHECK((logits - expected).abs().max().item<double>() < tolerance(expected));
    }
  }
}

TEST_CASE("greedy generation gives the reference's tokens") {
  if (!std::filesystem::exists(fixtures())) SKIP_TEST("no reference checkpoints beside the checkout");
  for (const auto& name : supported) {
    INFO(name);
    Fixture fixture(fixtures() / name);
    if (!fixture.reference.has("greedy_ids")) continue;
    const auto all = fixture.reference.tensor("greedy_ids").flatten();
    const std::vector<int64_t> ids(all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel());
    const auto margin = fixture.reference.tensor("greedy_margin");
    REQUIRE(margin.min().item<double>() > 1e-4);  // no near ties
    const std::vector<int64_t> prompt(ids.begin(), ids.end() - margin.numel());
    const auto out = generate_greedy(fixture.decoder, {prompt}, {.max_new_tokens = margin.numel()});
    CHECK(out[0] == std::vector<int64_t>(ids.end() - margin.numel(), ids.end()));
  }
}

TEST_CASE("gradients are those of Hugging Face transformers") {
  if (!std::filesystem::exists(fixtures())) SKIP_TEST("no reference checkpoints beside the checkout");
  Fixture fixture(fixtures() / "qwen25_bias_tied");
  const auto ids = fixture.reference.tensor("input_ids");
  const auto logits = fixture.decoder.logits(fixture.decoder.hidden(ids));
  const auto loss =
      at::cross_entropy_loss(logits.narrow(1, 0, 47).flatten(0, 1), ids.narrow(1, 1, 47).flatten());
  CHECK(loss.item<double>() == Approx(fixture.reference.tensor("loss").item<double>()).epsilon(1e-5));
  loss.backward();
  int64_t compared = 0;
  const auto parameters = fixture.decoder.named_parameters();
  for (const auto& name : fixture.reference.names()) {
    if (!name.starts_with("grad/")) continue;
    std::string key = name.substr(5);
    std::replace(key.begin(), key.end(), '/', '.');
    INFO(key);
    const auto* parameter = parameters.find(key);
    REQUIRE(parameter != nullptr);
    const auto expected = fixture.reference.tensor(name);
    CHECK((parameter->grad() - expected).norm().item<double>() < 2e-5 * expected.norm().item<double>());
    ++compared;
  }
  CHECK(compared >= 4);
}

}  // namespace
}  // namespace attnlab
