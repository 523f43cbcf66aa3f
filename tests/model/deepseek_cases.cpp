// DeepSeek's cases of family_cases.h.
#include <cmath>

#include "family_cases.h"

namespace attnlab::test {
namespace {

using nlohmann::ordered_json;

FamilyCase deepseek(const std::string& name, const std::string& type, const ordered_json& q_rank,
                    bool interleaved, bool biased) {
  auto c = make_case(name, type, {3, 3, 4, 2},
                     {{"attention_bias", biased},
                      {"q_lora_rank", q_rank},
                      {"kv_lora_rank", 7},
                      {"qk_nope_head_dim", 5},
                      {"qk_rope_head_dim", 4},
                      {"v_head_dim", 3},
                      {"first_k_dense_replace", 2}});
  if (type == "deepseek_v3") c.json["rope_interleave"] = interleaved;
  c.twin.rope.interleaved = interleaved;
  c.twin.query_scalar = 5 + 4;
  c.twin.q_rank = q_rank.is_null() ? 0 : q_rank.get<int64_t>();
  c.twin.kv_rank = 7;
  c.twin.nope_dim = 5;
  c.twin.value_dim = 3;
  c.holds = {kFirst + "kv_a_layernorm.weight",
             kFirst + (q_rank.is_null() ? "q_proj.weight" : "q_a_proj.weight")};
  if (biased) c.holds.push_back(kFirst + "kv_a_proj_with_mqa.bias");
  return c;
}

// Experts in layer 1 of 2; 7 in one group, or 6 in three.
FamilyCase with_experts(FamilyCase c, const ordered_json& more, int64_t experts, int64_t shared) {
  c.json.update({{"first_k_dense_replace", 1},
                 {"moe_layer_freq", 1},
                 {"n_routed_experts", experts},
                 {"n_shared_experts", shared},
                 {"num_experts_per_tok", 3},
                 {"moe_intermediate_size", 5}});
  c.json.update(more);
  c.twin.experts = experts;
  c.twin.experts_per_token = 3;
  c.twin.expert_width = 5;
  c.twin.shares_sum = false;
  c.holds.insert(c.holds.end(), {"model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.gate.weight",
                                 "model.layers.1.mlp.experts.5.down_proj.weight"});
  if (shared > 0) c.holds.emplace_back("model.layers.1.mlp.shared_experts.up_proj.weight");
  return c;
}

FamilyCase deepseek_v2_experts() {
  return with_experts(deepseek("deepseek_v2, 3 of 7 experts, 2 shared", "deepseek_v2", nullptr, true, false),
                      ordered_json::object(), 7, 2);
}

FamilyCase deepseek_v2_groups() {
  auto c =
      with_experts(deepseek("deepseek_v2, 3 experts of 2 groups of 3, scaled", "deepseek_v2", 6, true, false),
                   {{"topk_method", "group_limited_greedy"},
                    {"n_group", 3},
                    {"topk_group", 2},
                    {"routed_scaling_factor", 3.0}},
                   6, 0);
  c.twin.groups = 3;
  c.twin.groups_used = 2;
  c.twin.routed_scale = 3;
  return c;
}

// Yarn's factor on the scores is m² with m = 1 + 0.1 · 0.5 ln 8, that on cos and sin (1 + 0.1 ln 8) / m.
FamilyCase deepseek_v3_experts() {
  auto c = with_experts(
      deepseek("deepseek_v3, sigmoid, biased choice out of groups, yarn", "deepseek_v3", 6, true, false),
      {{"n_group", 3},
       {"topk_group", 2},
       {"rope_theta", 100.0},
       {"rope_scaling",
        {{"type", "yarn"},
         {"factor", 8.0},
         {"original_max_position_embeddings", 12},
         {"beta_fast", 1.5},
         {"beta_slow", 0.1},
         {"mscale", 1.0},
         {"mscale_all_dim", 0.5}}}},
      6, 1);
  const double m = 1 + 0.05 * std::log(8.0);
  c.twin.rope = {.type = "yarn",
                 .theta = 100,
                 .dim = 4,
                 .factor = 8,
                 .original = 12,
                 .fast = 1.5,
                 .slow = 0.1,
                 .table_factor = (1 + 0.1 * std::log(8.0)) / m,
                 .interleaved = true};
  c.twin.query_scalar = 9 / std::pow(m, 4);
  c.twin.groups = 3;
  c.twin.groups_used = 2;
  c.twin.shares_sum = true;
  c.twin.routed_scale = 2.5;
  c.holds.emplace_back("model.layers.1.mlp.gate.e_score_correction_bias");
  return c;
}

}  // namespace

std::vector<FamilyCase> deepseek_cases() {
  return {deepseek("deepseek_v2, whole queries", "deepseek_v2", nullptr, true, false),
          deepseek("deepseek_v3, compressed queries, biases", "deepseek_v3", 6, true, true),
          deepseek("deepseek_v3, halves turn", "deepseek_v3", 6, false, false),
          deepseek_v2_experts(),
          deepseek_v2_groups(),
          deepseek_v3_experts()};
}

}  // namespace attnlab::test
