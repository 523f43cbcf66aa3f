// What each family's config.json may say, and what is refused: one acceptance and one rejection for each rule.
// The rotary keys are in rope_keys_test.cpp.
#include "model/families/families.h"

#include "catch.h"
#include "config_json.h"
#include "family_cases.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::config_json;
using test::family_cases;
using test::read_json;
using test::refusal;
using test::with;
using test::without;
using Layers = std::vector<int64_t>;

TEST_CASE("a LLaMA config is read") {
  const DecoderConfig config = read_json(config_json("llama"));
  CHECK(config.family == Family::llama);
  CHECK(config.d_model == 32);
  CHECK(config.head_dim == 4);
  CHECK(config.n_kv_heads == 2);
  CHECK(config.rope_theta == 500000);
  CHECK(config.norm_eps == 1e-5);
  CHECK(config.tie_embeddings);
  CHECK_FALSE(config.qkv_bias);
}

// All families, with every feature that the tiny models of family_cases.cpp have.
TEST_CASE("what is written reads back as the same config") {
  for (const auto& family : family_cases()) {
    INFO(family.name);
    const DecoderConfig config = read_json(json::parse(family.json.dump()));
    CHECK_FALSE(decoder_problem(config));
    const json written = json::parse(write_decoder_config(config, "bfloat16").dump());
    CHECK(fields_equal(config, read_json(written)));
    CHECK(written.at("architectures").size() == 1);
    CHECK(written.at("torch_dtype") == "bfloat16");
    // A second writing changes nothing.
    CHECK(json::parse(write_decoder_config(read_json(written), "bfloat16").dump()) == written);
  }
}

TEST_CASE("the architecture's name is the one that Hugging Face transformers loads") {
  const std::vector<std::pair<Family, const char*>> names{{Family::llama, "LlamaForCausalLM"},
                                                          {Family::mistral, "MistralForCausalLM"},
                                                          {Family::mixtral, "MixtralForCausalLM"},
                                                          {Family::qwen2, "Qwen2ForCausalLM"},
                                                          {Family::qwen3, "Qwen3ForCausalLM"},
                                                          {Family::gemma2, "Gemma2ForCausalLM"},
                                                          {Family::gemma3, "Gemma3ForCausalLM"},
                                                          {Family::phi3, "Phi3ForCausalLM"},
                                                          {Family::deepseek_v2, "DeepseekV2ForCausalLM"},
                                                          {Family::deepseek_v3, "DeepseekV3ForCausalLM"}};
  // Those without attention: recurrent_families_test.cpp.
  CHECK(names.size() + 3 == all_names<Family>().size());
  size_t found = 0;
  for (const auto& family : family_cases()) {
    const auto written = write_decoder_config(read_json(json::parse(family.json.dump())));
    for (const auto& [of, name] : names)
      if (name_of(of) == written.at("model_type").get<std::string>())
        found += written.at("architectures")[0] == name;
  }
  CHECK(found == family_cases().size());
}

TEST_CASE("the keys that all families share: what they mean where they are absent or null") {
  const json llama = config_json("llama");
  CHECK(read_json(without(llama, "num_key_value_heads")).n_kv_heads == 8);
  CHECK(read_json(with(llama, "num_key_value_heads", nullptr)).n_kv_heads == 8);
  CHECK(read_json(without(llama, "rope_theta")).rope_theta == 10000);
  CHECK(read_json(without(llama, "rms_norm_eps")).norm_eps == 1e-6);
  CHECK(read_json(without(llama, "max_position_embeddings")).max_positions == 2048);
  CHECK_FALSE(read_json(without(llama, "tie_word_embeddings")).tie_embeddings);
  CHECK(read_json(with(llama, "head_dim", nullptr)).head_dim == 4);
  CHECK(read_json(with(llama, "head_dim", 6)).head_dim == 6);
  CHECK(read_json(with(llama, "some_key_of_a_training_script", 3)).d_model == 32);
  // Other families' heads, where config.json leaves them out.
  json mistral = with(config_json("mistral"), "num_attention_heads", 16);
  CHECK(read_json(without(mistral, "num_key_value_heads")).n_kv_heads == 8);
  json qwen = with(with(config_json("qwen3"), "num_attention_heads", 64), "hidden_size", 64);
  CHECK(read_json(without(qwen, "num_key_value_heads")).n_kv_heads == 32);
  CHECK(read_json(qwen).head_dim == 128);
  CHECK(read_json(without(config_json("mixtral"), "rms_norm_eps")).norm_eps == 1e-5);
  CHECK(read_json(without(config_json("mixtral"), "rope_theta")).rope_theta == 1e6);
}

TEST_CASE("what would be computed wrongly is refused, naming file, key and value") {
  const auto of = [](const char* key, const json& value) {
    return refusal(with(config_json("llama"), key, value));
  };
  CHECK(of("hidden_act", "silu") == "accepted");
  CHECK_THAT(of("hidden_act", "gelu"), ContainsSubstring("model/config.json: hidden_act: found \"gelu\""));
  CHECK_THAT(of("hidden_size", "32"), ContainsSubstring("hidden_size: found \"32\", expected a whole number"));
  CHECK_THAT(of("hidden_size", 32.5), ContainsSubstring("hidden_size: found 32.5"));
  CHECK_THAT(of("hidden_size", 36), ContainsSubstring("hidden_size 36 is no multiple of 8 heads"));
  CHECK(of("num_hidden_layers", 10'000) == "accepted");
  CHECK_THAT(of("num_hidden_layers", 10'001), ContainsSubstring("from 1 to 10000"));
  CHECK_THAT(of("num_hidden_layers", 0), ContainsSubstring("num_hidden_layers: found 0"));
  CHECK_THAT(of("vocab_size", 1e300), ContainsSubstring("vocab_size"));
  CHECK_THAT(of("vocab_size", int64_t{1} << 40), ContainsSubstring("vocab_size"));
  CHECK_THAT(of("rms_norm_eps", -1), ContainsSubstring("rms_norm_eps: found -1, expected a number above 0"));
  CHECK_THAT(of("tie_word_embeddings", "yes"), ContainsSubstring("tie_word_embeddings"));
  CHECK_THAT(of("model_type", "lama"), ContainsSubstring("did you mean 'llama'?"));
  CHECK_THAT(of("model_type", 3), ContainsSubstring("model_type: found 3, expected a string"));
  CHECK_THAT(refusal(without(config_json("llama"), "model_type")),
             ContainsSubstring("model_type: found nothing"));
  CHECK_THAT(of("num_key_value_heads", 3), ContainsSubstring("a divisor of n_heads = 8"));
  CHECK_THAT(of("head_dim", 5), ContainsSubstring("an even number"));
}

TEST_CASE("a missing size is named") {
  for (const char* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"})
    CHECK_THAT(refusal(without(config_json("llama"), key)),
               ContainsSubstring(std::string(key) + ": found nothing"));
}

TEST_CASE("LLaMA: attention_bias is for all four projections, mlp_bias for the MLP's, and there is no window") {
  const json llama = config_json("llama");
  CHECK(read_json(with(llama, "attention_bias", true)).qkv_bias);
  CHECK(read_json(with(llama, "attention_bias", true)).o_bias);
  CHECK_FALSE(read_json(llama).mlp_bias);
  CHECK(read_json(with(llama, "mlp_bias", true)).mlp_bias);
  CHECK_FALSE(read_json(with(llama, "mlp_bias", true)).qkv_bias);
  CHECK(refusal(with(with(llama, "mlp_bias", false), "sliding_window", nullptr)) == "accepted");
  CHECK_THAT(refusal(with(llama, "attention_bias", 1)), ContainsSubstring("attention_bias: found 1"));
  CHECK_THAT(refusal(with(llama, "mlp_bias", "no")), ContainsSubstring("mlp_bias: found \"no\""));
  CHECK_THAT(refusal(with(llama, "sliding_window", 64)), ContainsSubstring("sliding_window: found 64"));
}

TEST_CASE("Mistral: no sliding_window means 4096, null means none, and there are no biases") {
  const json mistral = config_json("mistral");
  CHECK(read_json(mistral).window == 4096);
  CHECK(read_json(mistral).window_layers.empty());
  CHECK(read_json(with(mistral, "sliding_window", nullptr)).window == 0);
  CHECK(read_json(with(mistral, "sliding_window", 16)).window == 16);
  CHECK_THAT(refusal(with(mistral, "sliding_window", 0)), ContainsSubstring("sliding_window: found 0"));
  CHECK_THAT(refusal(with(mistral, "attention_bias", true)), ContainsSubstring("attention_bias: found true"));
}

TEST_CASE("layer_types: one of two words for each layer") {
  const json gemma = with(config_json("gemma2"), "sliding_window", 16);
  const auto types = [&](const json& value) { return with(gemma, "layer_types", value); };
  const json sliding = "sliding_attention", full = "full_attention";
  CHECK(read_json(types(json::array({full, sliding}))).window_layers == Layers{1});
  // Equal models have equal configs: all layers are the default, and no layer is no window.
  CHECK(read_json(types(json::array({sliding, sliding}))).window_layers.empty());
  CHECK(read_json(types(json::array({full, full}))).window == 0);
  CHECK_THAT(refusal(types(json::array({full}))), ContainsSubstring("layer_types: found [\"full_attention\"]"));
  CHECK_THAT(refusal(types(json::array({full, full, full}))), ContainsSubstring("layer_types"));
  CHECK_THAT(refusal(types(json::array({full, "chunked_attention"}))), ContainsSubstring("layer_types"));
  CHECK_THAT(refusal(types(json::array({full, 3}))), ContainsSubstring("expected a list of texts"));
  CHECK_THAT(refusal(types("full_attention")), ContainsSubstring("expected a list of texts"));
}

TEST_CASE(
    "a family whose layers are all alike takes layer_types only where they say what sliding_window says") {
  const json on = with(config_json("mistral"), "sliding_window", 16);
  const json off = with(config_json("mistral"), "sliding_window", nullptr);
  const json sliding = "sliding_attention", full = "full_attention";
  CHECK(read_json(with(on, "layer_types", json::array({sliding, sliding}))).window == 16);
  CHECK(read_json(with(off, "layer_types", json::array({full, full}))).window == 0);
  for (const auto& list : {json::array({full, sliding}), json::array({full, full})})
    CHECK_THAT(refusal(with(on, "layer_types", list)), ContainsSubstring("sliding_attention in all layers"));
  CHECK_THAT(refusal(with(off, "layer_types", json::array({sliding, sliding}))),
             ContainsSubstring("full_attention in all layers"));
}

TEST_CASE("Mixtral: 2 of 8 experts by default, never more than there are, and no jitter") {
  const json mixtral = config_json("mixtral");
  CHECK(read_json(mixtral).moe->n_experts == 8);
  CHECK(read_json(mixtral).moe->experts_per_token == 2);
  CHECK(read_json(mixtral).window == 0);
  CHECK(
      read_json(with(with(mixtral, "num_local_experts", 3), "num_experts_per_tok", 3)).moe->experts_per_token ==
      3);
  CHECK(refusal(with(mixtral, "router_jitter_noise", 0.0)) == "accepted");
  CHECK(refusal(with(mixtral, "router_jitter_noise", 0)) == "accepted");
  CHECK_THAT(refusal(with(mixtral, "num_experts_per_tok", 9)),
             ContainsSubstring("num_experts_per_tok: found 9, expected at most the 8 experts"));
  CHECK_THAT(refusal(with(mixtral, "num_local_experts", 0)), ContainsSubstring("num_local_experts: found 0"));
  CHECK_THAT(refusal(with(mixtral, "router_jitter_noise", 0.1)), ContainsSubstring("router_jitter_noise"));
  CHECK_THAT(refusal(with(mixtral, "attention_bias", true)), ContainsSubstring("attention_bias"));
}

TEST_CASE("Qwen's window counts only if it is on, and from max_window_layers on") {
  for (const char* type : {"qwen2", "qwen3"}) {
    INFO(type);
    const json off = with(config_json(type), "sliding_window", 16);
    CHECK(read_json(off).window == 0);
    CHECK_THAT(refusal(with(off, "layer_types", json::array({"sliding_attention", "full_attention"}))),
               ContainsSubstring("layer_types: found") && ContainsSubstring("switched off"));
    CHECK(refusal(with(off, "layer_types", json::array({"full_attention", "full_attention"}))) == "accepted");
    CHECK(read_json(with(off, "use_sliding_window", false)).window == 0);
    const json on = with(off, "use_sliding_window", true);
    CHECK(read_json(on).window == 0);  // max_window_layers is 28: no layer is left
    CHECK(read_json(with(on, "max_window_layers", 1)).window == 16);
    CHECK(read_json(with(on, "max_window_layers", 1)).window_layers == Layers{1});
    CHECK(read_json(with(on, "max_window_layers", 0)).window_layers.empty());
    CHECK(read_json(with(on, "max_window_layers", 0)).window == 16);
    CHECK(read_json(with(on, "max_window_layers", 2)).window == 0);
    // layer_types come before max_window_layers.
    const json types = json::array({"sliding_attention", "full_attention"});
    CHECK(read_json(with(on, "layer_types", types)).window_layers == Layers{0});
    CHECK(read_json(with(without(with(on, "max_window_layers", 0), "sliding_window"), "x", 1)).window == 4096);
    CHECK_THAT(refusal(with(on, "use_sliding_window", 1)), ContainsSubstring("use_sliding_window: found 1"));
    CHECK_THAT(refusal(with(on, "max_window_layers", -1)), ContainsSubstring("max_window_layers: found -1"));
  }
}

TEST_CASE("Qwen 2 has biases on query, key and value, Qwen 3 where attention_bias says so, and QK norms") {
  CHECK(read_json(config_json("qwen2")).qkv_bias);
  CHECK_FALSE(read_json(config_json("qwen2")).o_bias);
  CHECK_FALSE(read_json(config_json("qwen2")).attention_shape().qk_norm);
  CHECK_FALSE(read_json(config_json("qwen3")).qkv_bias);
  CHECK(read_json(with(config_json("qwen3"), "attention_bias", true)).o_bias);
  CHECK(read_json(config_json("qwen3")).attention_shape().qk_norm);
  CHECK(refusal(with(config_json("qwen2"), "use_mrope", false)) == "accepted");
  CHECK_THAT(refusal(with(config_json("qwen2"), "use_mrope", true)),
             ContainsSubstring("use_mrope: found true"));
}

TEST_CASE("Gemma 2: caps, scalar and window have defaults, null caps are none, embeddings are tied") {
  const json gemma = config_json("gemma2");
  const DecoderConfig config = read_json(gemma);
  CHECK(config.attention_softcap == 50);
  CHECK(config.final_softcap == 30);
  CHECK(config.query_scalar == 0);  // 256, which is head_dim
  CHECK(config.head_dim == 256);
  CHECK(config.n_kv_heads == 4);
  CHECK(config.window == 4096);
  CHECK(config.window_layers == Layers{0});
  CHECK(config.tie_embeddings);
  CHECK(read_json(with(gemma, "attn_logit_softcapping", nullptr)).attention_softcap == 0);
  CHECK(read_json(with(gemma, "final_logit_softcapping", nullptr)).final_softcap == 0);
  CHECK(read_json(with(gemma, "query_pre_attn_scalar", 224)).query_scalar == 224);
  CHECK(read_json(with(gemma, "tie_word_embeddings", false)).tie_embeddings == false);
  CHECK(read_json(with(gemma, "attention_bias", true)).o_bias);
  CHECK(read_json(with(gemma, "sliding_window", nullptr)).window == 0);
  CHECK(read_json(with(gemma, "num_hidden_layers", 5)).window_layers == Layers{0, 2, 4});
  CHECK(refusal(with(gemma, "hidden_activation", "gelu_pytorch_tanh")) == "accepted");
  CHECK_THAT(refusal(with(gemma, "attn_logit_softcapping", 0)), ContainsSubstring("attn_logit_softcapping"));
  CHECK_THAT(refusal(with(gemma, "final_logit_softcapping", "30")),
             ContainsSubstring("final_logit_softcapping"));
  CHECK_THAT(refusal(with(gemma, "query_pre_attn_scalar", -8)), ContainsSubstring("query_pre_attn_scalar"));
  CHECK_THAT(refusal(with(gemma, "hidden_activation", "gelu")), ContainsSubstring("hidden_activation"));
  std::vector<std::string> notes;
  read_decoder_config(with(gemma, "hidden_act", "gelu"), "config.json", &notes);
  CHECK(notes == std::vector<std::string>{
                     "config.json: hidden_act: \"gelu\" is not used: this family reads hidden_activation"});
}

TEST_CASE("Phi: its projections are fused, and it has no biases") {
  const json phi = config_json("phi3");
  CHECK(read_json(phi).window == 0);
  CHECK(read_json(with(phi, "sliding_window", 16)).window == 16);
  const DecoderConfig config = read_json(phi);
  const FileTensor value = file_tensor(config, "model.layers.1.self_attn.v_proj.weight");
  CHECK(value.name == "model.layers.1.self_attn.qkv_proj.weight");
  CHECK(value.first_row == (8 + 2) * 4);
  CHECK(file_tensor(config, "model.layers.1.mlp.up_proj.weight").first_row == 64);
  CHECK_FALSE(file_tensor(config, "model.layers.1.mlp.down_proj.weight").part);
  for (const char* key : {"attention_bias", "mlp_bias", "lm_head_bias"}) {
    CHECK(refusal(with(phi, key, false)) == "accepted");
    CHECK_THAT(refusal(with(phi, key, true)), ContainsSubstring(std::string(key) + ": found true"));
  }
}

// Configs that do not come from a file: what the family's config.json cannot say.
TEST_CASE("a decoder that its family cannot have is refused, with the key") {
  const auto problem = [](const char* type, const auto& change) -> std::string {
    DecoderConfig config = read_json(config_json(type));
    change(config);
    const auto found = decoder_problem(config);
    return found ? found->key : "accepted";
  };
  using C = DecoderConfig;
  CHECK(problem("llama", [](C&) {}) == "accepted");
  CHECK(problem("mistral", [](C& c) { c.window = 7; }) == "accepted");
  CHECK(problem("llama", [](C& c) { c.window = 7; }) == "window");
  CHECK(problem("llama", [](C& c) { c.attention_softcap = 7; }) == "attention_softcap");
  CHECK(problem("llama", [](C& c) { c.moe = MoeShape{.n_experts = 4, .experts_per_token = 2, .d_ff = 8}; }) ==
        "moe.n_experts");
  CHECK(problem("llama", [](C& c) { c.rotary_dim = 2; }) == "partial_rotary_factor");
  CHECK(problem("llama", [](C& c) { c.o_bias = true; }) == "o_bias");
  CHECK(problem("llama", [](C& c) { c.mlp_bias = true; }) == "accepted");
  CHECK(problem("mistral", [](C& c) { c.mlp_bias = true; }) == "mlp_bias");
  CHECK(problem("deepseek_v3", [](C& c) { c.mlp_bias = true; }) == "mlp_bias");
  CHECK(problem("mixtral", [](C& c) { c.moe->n_experts = 200'001; }) == "num_local_experts");
  CHECK(problem("qwen2", [](C& c) { c.qkv_bias = false; }) == "qkv_bias");
  CHECK(problem("mistral", [](C& c) { c.window_layers = {2}; }) == "window_layers");
  CHECK(problem("llama", [](C& c) { c.mla = MlaShape{}; }) == "mla");
  CHECK(problem("deepseek_v3", [](C& c) { c.mla = std::nullopt, c.head_dim = 4; }) == "mla");
  CHECK(problem("deepseek_v2", [](C& c) { c.mla->interleaved = false; }) == "mla.interleaved");
  CHECK(problem("llama", [](C& c) { c.head_dim = 5; }) == "head_dim");
  CHECK(problem("llama", [](C& c) { c.n_kv_heads = 5; }) == "n_kv_heads");
}

}  // namespace
}  // namespace attnlab
