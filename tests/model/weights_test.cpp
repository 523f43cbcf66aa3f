#include <nlohmann/json.hpp>

#include "catch.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::small_config;

Checkpoint save(const std::filesystem::path& folder, const DecoderConfig& config, const TensorMap& weights) {
  write_checkpoint(folder, write_decoder_config(config), weights);
  return Checkpoint::open(folder);
}

std::string refusal(const TensorMap& weights) {
  const test::TemporaryFolder folder;
  const auto config = small_config();
  try {
    read_base_weights(save(folder.path(), config, weights), config);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("weights survive a checkpoint unchanged") {
  const test::TemporaryFolder folder;
  const auto config = small_config();
  const auto weights = random_base_weights(config, 5);
  const auto read = read_base_weights(save(folder.path(), config, weights), config);
  REQUIRE(read.size() == weights.size());
  for (const auto& [name, tensor] : weights) CHECK(torch::equal(read.at(name), tensor));
}

TEST_CASE("a missing, surplus or wrongly shaped tensor is named") {
  auto weights = random_base_weights(small_config(), 5);
  CHECK(refusal(weights) == "accepted");
  auto missing = weights;
  missing.erase("model.norm.weight");
  CHECK_THAT(refusal(missing), ContainsSubstring("model.norm.weight: found no such tensor"));
  auto surplus = weights;
  surplus["model.norm.wait"] = torch::ones({2});
  CHECK_THAT(refusal(surplus), ContainsSubstring("did you mean 'model.norm.weight'?"));
  auto reshaped = weights;
  reshaped["lm_head.weight"] = torch::ones({2, 3});
  CHECK_THAT(refusal(reshaped), ContainsSubstring("lm_head.weight: found shape [2, 3]"));
  auto integers = weights;
  integers["model.norm.weight"] = torch::ones({20}, torch::kInt64);
  CHECK_THAT(refusal(integers), ContainsSubstring("whole numbers"));
}

TEST_CASE("random weights are a function of the seed, with the residual matrices scaled down") {
  auto config = small_config();
  config.d_model = 64;
  const auto a = random_base_weights(config, 1), b = random_base_weights(config, 1),
             c = random_base_weights(config, 2);
  for (const auto& [name, tensor] : a) CHECK(torch::equal(tensor, b.at(name)));
  CHECK_FALSE(torch::equal(a.at("lm_head.weight"), c.at("lm_head.weight")));
  // The deviation of n normal numbers is itself within 4 / √(2n) of its expectation, all but surely.
  const auto near = [&](const char* name, double expected) {
    const auto& tensor = a.at(name);
    CHECK(tensor.std().item<double>() ==
          Approx(expected).epsilon(4 / std::sqrt(2.0 * static_cast<double>(tensor.numel()))));
  };
  near("model.layers.0.mlp.up_proj.weight", 0.02);
  near("model.layers.0.mlp.down_proj.weight", 0.01);
  CHECK(a.at("model.norm.weight").eq(1).all().item<bool>());
}

TEST_CASE("tied checkpoints may carry the output matrix again") {
  auto config = small_config();
  config.tie_embeddings = true;
  auto weights = random_base_weights(config, 5);
  CHECK(weights.count("lm_head.weight") == 0);
  weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone();
  const test::TemporaryFolder folder;
  CHECK(read_base_weights(save(folder.path(), config, weights), config).count("lm_head.weight") == 0);
}

TEST_CASE("a router that computes in float32 is loaded in float32, whatever the rest is") {
  const auto config = test::small_experts();
  const test::TemporaryFolder folder;
  auto weights = random_base_weights(config, 5);
  const std::string gate = "model.layers.1.mlp.gate.";
  weights[gate + "e_score_correction_bias"] = torch::linspace(-1, 1, 6);
  const auto checkpoint = save(folder.path(), config, weights);
  const auto decoder = load_decoder(checkpoint, torch::kBFloat16, torch::kCPU);
  const auto layer =
      read_layer_weights(checkpoint, native_form(config), 1, torch::kBFloat16, torch::Device(torch::kCPU));
  for (const char* name : {"e_score_correction_bias", "weight"}) {
    CHECK(torch::equal(copy_weights(*decoder).at(gate + name), weights.at(gate + name)));
    CHECK(torch::equal(layer.at("mlp.gate." + std::string(name)), weights.at(gate + name)));
  }
  CHECK(copy_weights(*decoder).at("lm_head.weight").scalar_type() == torch::kBFloat16);
  CHECK(decoder->hidden(test::random_ids(1, 9, config.vocab_size)).scalar_type() == torch::kBFloat16);
}

TEST_CASE("DeepSeek-V3's layers that guess ahead are passed over, whether config.json counts them or not") {
  const auto config = test::small_experts();
  const test::TemporaryFolder folder;
  auto weights = random_base_weights(config, 5);
  weights["model.layers.2.eh_proj.weight"] = torch::ones({20, 40});
  auto json = write_decoder_config(config);
  write_checkpoint(folder.path(), json, weights);
  CHECK(read_base_weights(Checkpoint::open(folder.path()), config).size() + 1 == weights.size());
  const test::TemporaryFolder counted;
  json["num_nextn_predict_layers"] = 1;
  write_checkpoint(counted.path(), json, weights);
  CHECK(read_base_weights(Checkpoint::open(counted.path()), config).size() + 1 == weights.size());
}

TEST_CASE("sizes that no memory holds are refused by the shapes beside them, without an allocation") {
  const auto config = small_config();
  const test::TemporaryFolder folder;
  const Checkpoint checkpoint = save(folder.path(), config, random_base_weights(config, 5));
  const auto refusal = [&](int64_t DecoderConfig::*size, int64_t value) {
    DecoderConfig huge = config;
    huge.*size = value;
    try {
      read_base_weights(checkpoint, huge);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  constexpr int64_t most = int64_t{1} << 31;
  CHECK_THAT(refusal(&DecoderConfig::vocab_size, most),
             ContainsSubstring("a tensor of shape [2147483648, 20]"));
  CHECK_THAT(refusal(&DecoderConfig::d_ff, 2000000000),
             ContainsSubstring("a tensor of shape [20, 2000000000]"));
  DecoderConfig huge = config;
  huge.vocab_size = huge.d_model = huge.n_heads = huge.head_dim = most;
  CHECK_THROWS_AS(read_base_weights(checkpoint, huge), InputError);
}

}  // namespace
}  // namespace attnlab
