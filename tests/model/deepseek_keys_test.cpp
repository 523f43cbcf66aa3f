// DeepSeek's keys of config.json: latent attention, and which layers have experts.
#include "catch.h"
#include "config_json.h"
#include "model/kv_budget.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::config_json;
using test::read_json;
using test::refusal;
using test::with;
using test::without;

TEST_CASE("DeepSeek: sizes of MLA, queries compressed or not, and how rotary pairs stand") {
  const json v2 = config_json("deepseek_v2"), v3 = config_json("deepseek_v3");
  CHECK(read_json(v2).mla->q_lora_rank == 0);
  CHECK(read_json(with(v2, "q_lora_rank", 12)).mla->q_lora_rank == 12);
  CHECK(read_json(v2).mla->kv_lora_rank == 7);
  CHECK(read_json(v2).head_dim == 5 + 4);
  CHECK(read_json(v2).mla->interleaved);
  CHECK(read_json(v3).mla->interleaved);
  CHECK_FALSE(read_json(with(v3, "rope_interleave", false)).mla->interleaved);
  CHECK(read_json(with(v3, "attention_bias", true)).qkv_bias);
  for (const json& deepseek : {v2, v3}) {
    CHECK_THAT(refusal(without(deepseek, "q_lora_rank")), ContainsSubstring("q_lora_rank: found nothing"));
    CHECK_THAT(refusal(with(deepseek, "q_lora_rank", 0)), ContainsSubstring("q_lora_rank: found 0"));
    for (const char* key : {"kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"})
      CHECK_THAT(refusal(without(deepseek, key)), ContainsSubstring(std::string(key) + ": found nothing"));
    CHECK_THAT(refusal(with(deepseek, "qk_rope_head_dim", 3)),
               ContainsSubstring("qk_rope_head_dim: found 3, expected an even number"));
    CHECK_THAT(refusal(with(deepseek, "mlp_bias", true)), ContainsSubstring("mlp_bias"));
  }
  CHECK_THAT(refusal(with(v3, "rope_interleave", "yes")), ContainsSubstring("rope_interleave"));
}

// Dense: no routed experts, or dense layers up to the last. Absent, first_k_dense_replace is 0 in V2 and 3 in
// V3.
TEST_CASE("DeepSeek: dense MLPs, and experts from a layer on") {
  const json v2 = without(config_json("deepseek_v2"), "first_k_dense_replace");
  const json v3 = without(config_json("deepseek_v3"), "first_k_dense_replace");
  CHECK_FALSE(read_json(with(v2, "first_k_dense_replace", 2)).moe);
  CHECK_FALSE(read_json(with(v2, "n_routed_experts", nullptr)).moe);
  CHECK_FALSE(read_json(with(v2, "n_routed_experts", 0)).moe);
  CHECK_FALSE(read_json(v3).moe);
  CHECK_FALSE(read_json(with(with(v3, "first_k_dense_replace", 1), "moe_layer_freq", 2)).moe);
  CHECK_THAT(refusal(v2), ContainsSubstring("num_experts_per_tok: found nothing"));
  const MoeShape of_v2 = *read_json(with(v2, "num_experts_per_tok", 6)).moe;
  CHECK(fields_equal(
      of_v2,
      MoeShape{.n_experts = 64, .experts_per_token = 6, .d_ff = 1407, .n_shared = 2, .normalised = false}));
  const DecoderConfig of_v3 = read_json(with(v3, "first_k_dense_replace", 1));
  CHECK(fields_equal(*of_v3.moe, MoeShape{.n_experts = 256,
                                          .experts_per_token = 8,
                                          .d_ff = 2048,
                                          .n_shared = 1,
                                          .first_layer = 1,
                                          .score = RouterScore::sigmoid,
                                          .n_groups = 8,
                                          .groups_per_token = 4,
                                          .scale = 2.5}));
  CHECK_FALSE(of_v3.has_experts(0));
  CHECK(of_v3.has_experts(1));
  json every_second = with(with(v3, "num_hidden_layers", 6), "moe_layer_freq", 2);
  every_second["first_k_dense_replace"] = 1;
  CHECK(read_json(every_second).layers_with_experts() == 2);  // 2 and 4
}

// Sizes as in their config.json; the numbers that their files hold, without V3's layer that guesses ahead.
TEST_CASE("DeepSeek-V2-Lite and V3 have as many parameters as their files") {
  const json sizes{{"num_attention_heads", 16},  {"hidden_size", 2048},        {"num_hidden_layers", 27},
                   {"intermediate_size", 10944}, {"vocab_size", 102400},       {"tie_word_embeddings", false},
                   {"kv_lora_rank", 512},        {"qk_nope_head_dim", 128},    {"qk_rope_head_dim", 64},
                   {"v_head_dim", 128},          {"first_k_dense_replace", 1}, {"num_experts_per_tok", 6},
                   {"n_routed_experts", 64},     {"n_shared_experts", 2},      {"moe_intermediate_size", 1408}};
  json lite = config_json("deepseek_v2");
  lite.update(sizes);
  const ParameterCounts of_lite = count_parameters(read_json(lite));
  CHECK(of_lite.total() == 15'706'484'224);
  CHECK(of_lite.total() - of_lite.active == int64_t{26} * 58 * 3 * 2048 * 1408);
  json v3 = config_json("deepseek_v3");
  v3.update(sizes);
  v3.update(
      {{"num_attention_heads", 128}, {"hidden_size", 7168}, {"num_hidden_layers", 61}, {"q_lora_rank", 1536}});
  v3.update({{"intermediate_size", 18432}, {"vocab_size", 129280}, {"moe_intermediate_size", 2048}});
  v3.update({{"n_routed_experts", 256}, {"n_shared_experts", 1}, {"num_experts_per_tok", 8}});
  v3["first_k_dense_replace"] = 3;
  CHECK(count_parameters(read_json(v3)).total() == 671'026'419'200);
}

TEST_CASE("DeepSeek: what its routers can't do is refused by its key") {
  const json v2 = with(with(config_json("deepseek_v2"), "first_k_dense_replace", 1), "num_experts_per_tok", 6);
  const json v3 = with(config_json("deepseek_v3"), "first_k_dense_replace", 1);
  CHECK(refusal(with(v2, "topk_group", 7)) == "accepted");  // greedy asks for no groups
  CHECK_THAT(refusal(with(v2, "topk_method", "noaux_tc")),
             ContainsSubstring("topk_method: found \"noaux_tc\""));
  CHECK_THAT(refusal(with(v2, "topk_method", "group_limited_greedy")),
             ContainsSubstring("n_group: found nothing"));
  CHECK_THAT(refusal(with(v2, "scoring_func", "sigmoid")), ContainsSubstring("scoring_func: found"));
  CHECK_THAT(refusal(with(v2, "norm_topk_prob", true)), ContainsSubstring("norm_topk_prob: found true"));
  CHECK_THAT(refusal(with(v3, "scoring_func", "softmax")), ContainsSubstring("scoring_func: found"));
  CHECK_THAT(refusal(with(v3, "topk_method", "greedy")), ContainsSubstring("topk_method: found"));
  CHECK_THAT(refusal(with(v3, "n_group", 7)),
             ContainsSubstring("n_group: found 7, expected a divisor of the 256"));
  CHECK_THAT(refusal(with(v3, "n_group", 256)), ContainsSubstring("leaves 2 or more to a group"));
  CHECK_THAT(refusal(with(v3, "topk_group", 9)),
             ContainsSubstring("topk_group: found 9, expected at most the 8"));
  CHECK_THAT(refusal(with(v3, "num_experts_per_tok", 129)),
             ContainsSubstring("num_experts_per_tok: found 129, expected at most the 128"));
  CHECK_THAT(refusal(with(v3, "moe_intermediate_size", 0)),
             ContainsSubstring("moe_intermediate_size: found 0"));
  CHECK_THAT(refusal(with(v3, "n_routed_experts", 1 << 30)),
             ContainsSubstring("n_routed_experts: found 1073741824"));
  CHECK_THAT(refusal(with(config_json("mixtral"), "num_local_experts", 1 << 30)),
             ContainsSubstring("num_local_experts: found 1073741824"));
}

}  // namespace
}  // namespace attnlab
