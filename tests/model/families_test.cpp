#include "model/families/families.h"

#include <nlohmann/json.hpp>

#include "catch.h"

namespace attnlab {
namespace {

using nlohmann::json;

json llama() {
  return {{"model_type", "llama"},    {"hidden_act", "silu"},    {"vocab_size", 100},
          {"hidden_size", 32},        {"num_hidden_layers", 2},  {"num_attention_heads", 8},
          {"num_key_value_heads", 2}, {"intermediate_size", 64}, {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},     {"rope_theta", 500000.0},  {"tie_word_embeddings", true}};
}

std::string refusal(const json& config) {
  try {
    read_decoder_config(config, "model/config.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("a LLaMA config is read") {
  const DecoderConfig config = read_decoder_config(llama(), "config.json");
  CHECK(config.family == Family::llama);
  CHECK(config.d_model == 32);
  CHECK(config.head_dim == 4);
  CHECK(config.n_kv_heads == 2);
  CHECK(config.rope_theta == 500000);
  CHECK(config.norm_eps == 1e-5);
  CHECK(config.tie_embeddings);
  CHECK_FALSE(config.qkv_bias);
}

TEST_CASE("what is written reads back as the same config") {
  for (const char* type : {"llama", "mistral", "qwen2"}) {
    json input = llama();
    input["model_type"] = type;
    const DecoderConfig config = read_decoder_config(input, "config.json");
    const json written = json::parse(write_decoder_config(config).dump());
    CHECK(fields_equal(config, read_decoder_config(written, "config.json")));
    CHECK(written.at("architectures").size() == 1);
  }
}

TEST_CASE("defaults are Hugging Face's: MHA without num_key_value_heads, rotary base 10000") {
  json config = llama();
  config.erase("num_key_value_heads");
  config.erase("rope_theta");
  CHECK(read_decoder_config(config, "c").n_kv_heads == 8);
  CHECK(read_decoder_config(config, "c").rope_theta == 10000);
}

TEST_CASE("the newer form of the rotary keys") {
  json config = llama();
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 7000.0}};
  CHECK(read_decoder_config(config, "c").rope_theta == 7000);
}

TEST_CASE("Qwen's biases are implied, and its window counts only if it is on") {
  json config = llama();
  config["model_type"] = "qwen2";
  config["sliding_window"] = 16;
  config["use_sliding_window"] = false;
  CHECK(read_decoder_config(config, "c").qkv_bias);
  CHECK(read_decoder_config(config, "c").window == 0);
  config["use_sliding_window"] = true;
  config["max_window_layers"] = 1;
  CHECK(read_decoder_config(config, "c").window == 16);
  CHECK(read_decoder_config(config, "c").window_layers == std::vector<int64_t>{1});
}

TEST_CASE("what would be computed wrongly is refused, naming file, key and value") {
  const auto with = [](const char* key, const json& value) {
    json config = llama();
    config[key] = value;
    return refusal(config);
  };
  CHECK_THAT(with("hidden_act", "gelu"), ContainsSubstring("model/config.json: hidden_act: found \"gelu\""));
  CHECK_THAT(with("rope_scaling", 3), ContainsSubstring("rope_scaling: found 3, expected an object"));
  CHECK_THAT(with("mlp_bias", true), ContainsSubstring("mlp_bias"));
  CHECK_THAT(with("quantization_config", {{"bits", 4}}), ContainsSubstring("quantization_config"));
  CHECK_THAT(with("partial_rotary_factor", 0.5), ContainsSubstring("partial_rotary_factor"));
  CHECK_THAT(with("hidden_size", "32"),
             ContainsSubstring("hidden_size: found \"32\", expected a whole number"));
  CHECK_THAT(with("num_hidden_layers", 0), ContainsSubstring("num_hidden_layers: found 0"));
  CHECK_THAT(with("vocab_size", 1e300), ContainsSubstring("vocab_size"));
  CHECK_THAT(with("rms_norm_eps", -1), ContainsSubstring("rms_norm_eps: found -1, expected a number above 0"));
  CHECK_THAT(with("tie_word_embeddings", "yes"), ContainsSubstring("tie_word_embeddings"));
  CHECK_THAT(with("model_type", "lama"), ContainsSubstring("did you mean 'llama'?"));
  CHECK_THAT(with("num_key_value_heads", 3), ContainsSubstring("a divisor of n_heads = 8"));
  CHECK_THAT(with("head_dim", 5), ContainsSubstring("an even number"));
}

TEST_CASE("a missing size is named") {
  json config = llama();
  config.erase("intermediate_size");
  CHECK_THAT(refusal(config), ContainsSubstring("intermediate_size: found nothing"));
}

}  // namespace
}  // namespace attnlab
