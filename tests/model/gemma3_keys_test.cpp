// Gemma 3's keys: which layers have a window, and how the two kinds of layers turn.
#include <nlohmann/json.hpp>

#include "attention/variant_config.h"
#include "catch.h"
#include "config_json.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::config_json, test::read_json, test::refusal, test::with, test::without;

json gemma3(int64_t layers = 14) {
  return with(without(config_json("gemma3_text"), "rope_theta"), "num_hidden_layers", layers);
}

json by_layer(const json& full, const json& sliding) {
  return {{"full_attention", full}, {"sliding_attention", sliding}};
}

TEST_CASE("gemma3: what Hugging Face takes where keys are left out") {
  const DecoderConfig config = read_json(gemma3());
  CHECK(config.rope_theta == 1e6);
  CHECK(config.window_rope_theta == 1e4);
  CHECK(config.window == 4096);
  CHECK(config.window_layers == std::vector<int64_t>{0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13});
  CHECK(config.n_kv_heads == 4);
  CHECK(config.head_dim == 256);
  CHECK(config.query_scalar == 0);  // 256, the width of a head
  CHECK(config.attention_softcap == 0);
  CHECK(config.final_softcap == 0);
  CHECK(config.tie_embeddings);
  CHECK(read_json(with(gemma3(), "sliding_window_pattern", 2)).window_layers ==
        std::vector<int64_t>{0, 2, 4, 6, 8, 10, 12});
}

TEST_CASE("gemma3: the rotary keys of transformers 4 and of 5 mean the same") {
  json older = with(with(gemma3(), "rope_theta", 5e5), "rope_local_base_freq", 2e4);
  older["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  const json newer = with(gemma3(), "rope_parameters",
                          by_layer({{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 5e5}},
                                   {{"rope_type", "default"}, {"rope_theta", 2e4}}));
  const DecoderConfig config = read_json(older);
  CHECK(fields_equal(config, read_json(newer)));
  CHECK(config.window_rope_theta == 2e4);
  REQUIRE(config.rope_scaling);
  CHECK(config.rope_scaling_of(5)->factor == 8);
  CHECK_FALSE(config.rope_scaling_of(4));
  CHECK(config.rope_theta_of(5) == 5e5);
  CHECK(config.rope_theta_of(4) == 2e4);
  CHECK(fields_equal(read_json(json::parse(write_decoder_config(config).dump())), config));
  // Without a window, or with one base for all, nothing turns apart.
  CHECK(read_json(with(older, "sliding_window", nullptr)).window_rope_theta == 0);
  CHECK(read_json(with(with(gemma3(), "rope_theta", 3e4), "rope_local_base_freq", 3e4)).window_rope_theta == 0);
}

TEST_CASE("gemma3: rotary keys that say two things, or what nobody reads, are refused") {
  const json full{{"rope_type", "default"}, {"rope_theta", 1e6}}, sliding{{"rope_theta", 1e4}};
  CHECK(refusal(with(gemma3(), "rope_parameters", by_layer(full, sliding))) == "accepted");
  CHECK_THAT(
      refusal(with(gemma3(), "rope_parameters", full)),
      ContainsSubstring("rope_parameters.rope_t") && ContainsSubstring("full_attention, sliding_attention"));
  CHECK_THAT(
      refusal(with(with(gemma3(), "rope_parameters", by_layer(full, sliding)), "rope_local_base_freq", 5)),
      ContainsSubstring("rope_parameters.sliding_attention.rope_theta: found 10000.0"));
  CHECK_THAT(refusal(with(with(gemma3(), "rope_parameters", by_layer(full, sliding)), "rope_theta", 5)),
             ContainsSubstring("rope_parameters.full_attention.rope_theta: found 1000000.0"));
  CHECK_THAT(refusal(with(gemma3(), "rope_parameters",
                          by_layer(full, {{"rope_type", "linear"}, {"factor", 2}, {"rope_theta", 1e4}}))),
             ContainsSubstring("sliding_attention.rope_type: found \"linear\""));
  CHECK_THAT(refusal(with(with(gemma3(), "rope_parameters", by_layer(full, sliding)), "rope_scaling",
                          {{"rope_type", "linear"}, {"factor", 2}})),
             ContainsSubstring("only one of the two"));
  CHECK_THAT(refusal(with(gemma3(), "rope_local_base_freq", 0)),
             ContainsSubstring("rope_local_base_freq: found 0"));
  CHECK_THAT(refusal(with(gemma3(), "use_bidirectional_attention", true)),
             ContainsSubstring("use_bidirectional_attention"));
  CHECK_THAT(refusal(with(gemma3(), "model_type", "gemma3")), ContainsSubstring("did you mean 'gemma3_text'"));
}

TEST_CASE("other families have no base of their own for layers with a window") {
  DecoderConfig config = read_json(config_json("gemma2"));
  config.window_rope_theta = 5;
  REQUIRE(decoder_problem(config));
  CHECK(decoder_problem(config)->key == "window_rope_theta");
}

TEST_CASE("gemma3 becomes the forms that keep norms of keys, and no other") {
  const AttentionShape shape = read_json(gemma3()).attention_shape(0);
  CHECK(shape.qk_norm);
  CHECK(shape.norm_plus_one);
  for (const std::string name : {"mla_identity", "mla_orthogonal", "care"})
    CHECK_FALSE(variant_problem(shape, *variant_defaults(name)));
  for (const std::string name : {"mla_deepseek", "mha2mla", "gta"}) {
    INFO(name);
    const auto problem = variant_problem(shape, *variant_defaults(name));
    REQUIRE(problem);
    CHECK_THAT(problem->expected, ContainsSubstring("mla_identity, mla_orthogonal, mla_v2 and care keep it"));
  }
}

}  // namespace
}  // namespace attnlab
