#include "family_cases.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "model/families/families.h"

namespace attnlab::test {
namespace {

using nlohmann::ordered_json;
using reference::TwinConfig;

constexpr CaseSizes kSixOfTwo{6, 2, 6, 3}, kThreeOfOne{3, 1, 8, 2};

FamilyCase llama() {
  auto c = make_case("llama, one KV head", "llama", kThreeOfOne, {{"rope_theta", 500.0}});
  c.twin.rope.theta = 500;
  c.lacks = {kFirst + "q_proj.bias", kFirst + "o_proj.bias"};
  return c;
}

// θ = 100 and 5 frequencies: wavelengths 6.3, 16, 40, 100 and 250, on both sides of and between 16 and 64.
FamilyCase llama31() {
  auto c = make_case("llama 3.1, tied", "llama", {6, 2, 10, 3},
                     {{"tie_word_embeddings", true},
                      {"rope_theta", 100.0},
                      {"rope_scaling",
                       {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 64}}}});
  c.twin.rope = {.type = "llama3", .theta = 100, .dim = 10, .factor = 8, .low = 1, .high = 4, .original = 64};
  c.lacks = {"lm_head.weight"};
  return c;
}

FamilyCase llama_linear() {
  auto c = make_case(
      "llama, linear scaling, biases", "llama", kSixOfTwo,
      {{"attention_bias", true}, {"mlp_bias", true}, {"rope_scaling", {{"type", "linear"}, {"factor", 2.5}}}});
  c.twin.rope.type = "linear";
  c.twin.rope.factor = 2.5;
  c.holds = {kFirst + "q_proj.bias", kFirst + "k_proj.bias", kFirst + "v_proj.bias", kFirst + "o_proj.bias"};
  for (const char* name : {"gate", "up", "down"})
    c.holds.push_back(std::string("model.layers.0.mlp.") + name + "_proj.bias");
  return c;
}

FamilyCase llama_longrope() {
  auto c = make_case("llama, longrope, given attention factor", "llama", kSixOfTwo,
                     {{"rope_parameters",
                       {{"rope_type", "longrope"},
                        {"rope_theta", 1000.0},
                        {"short_factor", {1.0, 1.25, 1.5}},
                        {"long_factor", {1.5, 3.0, 6.0}},
                        {"attention_factor", 1.75},
                        {"original_max_position_embeddings", 16}}}});
  c.json.erase("rope_theta");
  c.twin.rope = {.type = "longrope",
                 .theta = 1000,
                 .dim = 6,
                 .original = 16,
                 .short_factors = {1, 1.25, 1.5},
                 .long_factors = {1.5, 3, 6},
                 .table_factor = 1.75};
  return c;
}

// θ = 100, 3 frequencies: 3 and 0.25 turns in 24 positions are at places 0.16 and 1.78.
FamilyCase qwen2_yarn() {
  auto c = make_case("qwen2, yarn, ends not rounded", "qwen2", kSixOfTwo,
                     {{"rope_theta", 100.0},
                      {"rope_scaling",
                       {{"type", "yarn"},
                        {"factor", 4.0},
                        {"original_max_position_embeddings", 24},
                        {"beta_fast", 3.0},
                        {"beta_slow", 0.25},
                        {"truncate", false}}}});
  c.twin.rope = {.type = "yarn",
                 .theta = 100,
                 .dim = 6,
                 .factor = 4,
                 .original = 24,
                 .fast = 3,
                 .slow = 0.25,
                 .whole_ends = false,
                 .table_factor = 1 + 0.1 * std::log(4.0)};
  return c;
}

FamilyCase mistral_yarn() {
  auto c = make_case("mistral, yarn, window, given attention factor", "mistral", {6, 2, 10, 3},
                     {{"sliding_window", 5},
                      {"rope_parameters",
                       {{"rope_type", "yarn"},
                        {"rope_theta", 50.0},
                        {"factor", 8.0},
                        {"original_max_position_embeddings", 40},
                        {"beta_fast", 4.0},
                        {"attention_factor", 0.75}}}});
  c.json.erase("rope_theta");
  c.twin.windows = {5, 5, 5};
  c.twin.rope = {
      .type = "yarn", .theta = 50, .dim = 10, .factor = 8, .original = 40, .fast = 4, .table_factor = 0.75};
  return c;
}

FamilyCase llama_dynamic() {
  auto c = make_case("llama, dynamic", "llama", kSixOfTwo,
                     {{"max_position_embeddings", 16},
                      {"rope_theta", 200.0},
                      {"rope_scaling", {{"type", "dynamic"}, {"factor", 3.0}}}});
  c.twin.rope = {.type = "dynamic", .theta = 200, .dim = 6, .factor = 3, .original = 16};
  return c;
}

FamilyCase mistral() {
  auto c = make_case("mistral, window", "mistral", kSixOfTwo, {{"sliding_window", 5}});
  c.twin.windows = {5, 5, 5};
  return c;
}

FamilyCase mistral_nemo() {
  return make_case("mistral, window off", "mistral", kThreeOfOne, {{"sliding_window", nullptr}});
}

FamilyCase mixtral() {
  auto c = make_case("mixtral, 2 of 5 experts", "mixtral", kThreeOfOne,
                     {{"num_local_experts", 5}, {"num_experts_per_tok", 2}, {"sliding_window", nullptr}});
  c.twin.experts = 5;
  c.twin.experts_per_token = 2;
  c.holds = {"model.layers.1.block_sparse_moe.experts.4.w3.weight"};
  return c;
}

FamilyCase mixtral_window() {
  auto c = make_case("mixtral, 3 of 4 experts, window", "mixtral", kSixOfTwo,
                     {{"num_local_experts", 4}, {"num_experts_per_tok", 3}, {"sliding_window", 5}});
  c.twin.windows = {5, 5, 5};
  c.twin.experts = 4;
  c.twin.experts_per_token = 3;
  return c;
}

FamilyCase qwen2() {
  auto c = make_case("qwen2, tied, window from layer 1", "qwen2", kSixOfTwo,
                     {{"use_sliding_window", true},
                      {"sliding_window", 5},
                      {"max_window_layers", 1},
                      {"tie_word_embeddings", true}});
  c.twin.windows = {0, 5, 5};
  c.holds = {kFirst + "q_proj.bias", kFirst + "k_proj.bias", kFirst + "v_proj.bias"};
  c.lacks = {kFirst + "o_proj.bias", "lm_head.weight"};
  return c;
}

FamilyCase qwen3() {
  auto c =
      make_case("qwen3, QK norm", "qwen3", kThreeOfOne, {{"use_sliding_window", false}, {"sliding_window", 5}});
  c.holds = {kFirst + "q_norm.weight", kFirst + "k_norm.weight"};
  c.lacks = {kFirst + "q_proj.bias"};
  return c;
}

FamilyCase qwen3_biases() {
  auto c = make_case("qwen3, biases, typed layers", "qwen3", kSixOfTwo,
                     {{"attention_bias", true},
                      {"use_sliding_window", true},
                      {"sliding_window", 5},
                      {"max_window_layers", 3},
                      {"layer_types", {"sliding_attention", "full_attention", "sliding_attention"}}});
  c.twin.windows = {5, 0, 5};
  c.holds = {kFirst + "q_norm.weight", kFirst + "q_proj.bias", kFirst + "o_proj.bias"};
  return c;
}

// Caps small enough to bend most scores and logits.
FamilyCase gemma2() {
  auto c = make_case("gemma2", "gemma2", kSixOfTwo,
                     {{"hidden_act", "gelu_pytorch_tanh"},
                      {"hidden_activation", "gelu_pytorch_tanh"},
                      {"sliding_window", 5},
                      {"query_pre_attn_scalar", 17},
                      {"attn_logit_softcapping", 2.0},
                      {"final_logit_softcapping", 3.0}});
  c.json.erase("tie_word_embeddings");
  c.twin.windows = {5, 0, 5};
  c.twin.query_scalar = 17;
  c.twin.score_cap = 2;
  c.twin.logit_cap = 3;
  c.twin.gemma = true;
  c.holds = {"model.layers.2.pre_feedforward_layernorm.weight",
             "model.layers.2.post_feedforward_layernorm.weight"};
  c.lacks = {"lm_head.weight"};
  return c;
}

FamilyCase gemma2_uncapped() {
  auto c = make_case("gemma2, no caps, untied", "gemma2", kThreeOfOne,
                     {{"hidden_act", "gelu_pytorch_tanh"},
                      {"sliding_window", 5},
                      {"query_pre_attn_scalar", 8},
                      {"layer_types", {"full_attention", "sliding_attention"}},
                      {"attn_logit_softcapping", nullptr},
                      {"final_logit_softcapping", nullptr}});
  c.twin.windows = {0, 5};
  c.twin.gemma = true;
  return c;
}

// Five layers with a window, one without, one with; rotary keys as the hub's files had them first.
FamilyCase gemma3() {
  auto c = make_case("gemma3", "gemma3_text", {6, 2, 6, 7},
                     {{"hidden_activation", "gelu_pytorch_tanh"},
                      {"sliding_window", 5},
                      {"query_pre_attn_scalar", 17},
                      {"rope_theta", 500.0},
                      {"rope_local_base_freq", 20.0},
                      {"rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}}}});
  c.json.erase("tie_word_embeddings");
  c.json.erase("hidden_act");
  c.twin.windows = {5, 5, 5, 5, 5, 0, 5};
  c.twin.rope.type = "linear";
  c.twin.rope.theta = 500;
  c.twin.rope.factor = 4;
  c.twin.window_theta = 20;
  c.twin.query_scalar = 17;
  c.twin.gemma = true;
  c.holds = {kFirst + "q_norm.weight", kFirst + "k_norm.weight",
             "model.layers.6.post_feedforward_layernorm.weight"};
  c.lacks = {"lm_head.weight"};
  return c;
}

// As transformers 5 writes them, for each type of layer; the first has a window and is never scaled.
FamilyCase gemma3_typed() {
  auto c = make_case("gemma3, typed layers, dynamic, untied, caps", "gemma3_text", kThreeOfOne,
                     {{"hidden_activation", "gelu_pytorch_tanh"},
                      {"max_position_embeddings", 16},
                      {"sliding_window", 5},
                      {"query_pre_attn_scalar", 8},
                      {"attn_logit_softcapping", 2.0},
                      {"final_logit_softcapping", 3.0},
                      {"layer_types", {"sliding_attention", "full_attention"}},
                      {"rope_parameters",
                       {{"full_attention", {{"rope_type", "dynamic"}, {"rope_theta", 300.0}, {"factor", 3.0}}},
                        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 30.0}}}}}});
  c.json.erase("rope_theta");
  c.json.erase("hidden_act");
  c.twin.windows = {5, 0};
  c.twin.rope = {.type = "dynamic", .theta = 300, .dim = 8, .factor = 3, .original = 16};
  c.twin.window_theta = 30;
  c.twin.score_cap = 2;
  c.twin.logit_cap = 3;
  c.twin.gemma = true;
  return c;
}

FamilyCase phi4() {
  auto c = make_case("phi3, fused", "phi3", kSixOfTwo, {{"original_max_position_embeddings", 64}});
  c.holds = {kFirst + "qkv_proj.weight", "model.layers.2.mlp.gate_up_proj.weight"};
  c.lacks = {kFirst + "q_proj.weight", "model.layers.2.mlp.up_proj.weight"};
  return c;
}

// Attention factor √(1 + ln(64/16) / ln 16) = √1.5; 6 of 8 numbers turn.
FamilyCase phi4_mini() {
  auto c = make_case(
      "phi3, longrope, partial rotary, window, tied", "phi3", kThreeOfOne,
      {{"partial_rotary_factor", 0.75},
       {"tie_word_embeddings", true},
       {"sliding_window", 11},
       {"original_max_position_embeddings", 16},
       {"rope_scaling",
        {{"type", "longrope"}, {"short_factor", {1.0, 1.5, 2.0}}, {"long_factor", {2.0, 4.0, 8.0}}}}});
  c.twin.windows = {11, 11};
  c.twin.rope = {.type = "longrope",
                 .dim = 6,
                 .original = 16,
                 .short_factors = {1, 1.5, 2},
                 .long_factors = {2, 4, 8},
                 .table_factor = std::sqrt(1.5)};
  return c;
}

}  // namespace

FamilyCase make_case(const std::string& name, const std::string& type, const CaseSizes& s,
                     const ordered_json& more) {
  FamilyCase made{.name = name,
                  .json = {{"model_type", type},
                           {"hidden_act", "silu"},
                           {"vocab_size", kVocab},
                           {"hidden_size", 20},
                           {"num_hidden_layers", s.layers},
                           {"num_attention_heads", s.heads},
                           {"num_key_value_heads", s.kv_heads},
                           {"head_dim", s.head_dim},
                           {"intermediate_size", 28},
                           {"max_position_embeddings", 64},
                           {"rms_norm_eps", 1e-5},
                           {"rope_theta", 10000.0},
                           {"tie_word_embeddings", false}},
                  .twin = {.vocab = kVocab,
                           .width = 20,
                           .mlp_width = 28,
                           .heads = s.heads,
                           .kv_heads = s.kv_heads,
                           .head_dim = s.head_dim,
                           .norm_eps = 1e-5,
                           .windows = std::vector<int64_t>(static_cast<size_t>(s.layers)),
                           .rope = {.dim = s.head_dim},
                           .query_scalar = static_cast<double>(s.head_dim)}};
  made.json.update(more);
  return made;
}

std::vector<FamilyCase> family_cases() {
  std::vector<FamilyCase> cases{llama(),         llama31(),      llama_linear(),   llama_longrope(),
                                llama_dynamic(), qwen2_yarn(),   mistral_yarn(),   mistral(),
                                mistral_nemo(),  mixtral(),      mixtral_window(), qwen2(),
                                qwen3(),         qwen3_biases(), gemma2(),         gemma2_uncapped(),
                                gemma3(),        gemma3_typed(), phi4(),           phi4_mini()};
  const auto deepseek = deepseek_cases();
  cases.insert(cases.end(), deepseek.begin(), deepseek.end());
  return cases;
}

TensorMap family_weights(const DecoderConfig& config, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  TensorMap weights = random_base_weights(config, seed);
  for (auto& [name, tensor] : weights) {
    const auto noise = torch::empty(tensor.sizes()).normal_(0, 0.3, generator);
    tensor = name.ends_with("norm.weight") ? tensor + noise : noise;
  }
  return weights;
}

reference::NamedValues twin_tensors(const DecoderConfig& config, const TensorMap& weights) {
  reference::NamedValues values;
  for (const auto& [name, tensor] : to_file_tensors(config, weights)) {
    const auto exact = tensor.to(torch::kFloat64).contiguous();
    values[name] = {exact.data_ptr<double>(), exact.data_ptr<double>() + exact.numel()};
  }
  return values;
}

}  // namespace attnlab::test
