// Layers of equal-latent attention: GLA-2 and TPA as their authors compute them.
#include "attention/grouped_latent.h"
#include "attention/tpa_attention.h"
#include "crosscheck/mixer_cases.h"

namespace attnlab {
namespace {

// Theirs: W_dKV makes both latents and what turns, W_ukv_1 and W_ukv_2 keys and values of half the heads each.
torch::Tensor joined(const CaseFile& file, const std::string& before, int64_t latents,
                     const std::string& after) {
  std::vector<torch::Tensor> parts;
  for (int64_t j = 1; j <= latents; ++j) parts.push_back(file.tensor(before + std::to_string(j) + after));
  return torch::cat(parts);
}

void check_gla(const CaseFile& file, CaseCheck& check) {
  const auto x = file.tensor("x_BTD").requires_grad_();
  const int64_t N = file.integer("n_heads"), latents = file.integer("latent_heads");
  const AttentionShape shape{
      .d_model = x.size(2), .n_heads = N, .n_kv_heads = N, .head_dim = file.integer("head_dim")};
  const GroupedLatentForm form{.latents = latents,
                               .width = file.integer("latent_width"),
                               .rope = file.integer("qk_rope_head_dim"),
                               .up_heads = N,
                               .q_lora_rank = file.integer("q_lora_rank"),
                               .norms = true,
                               .q_a_bias = file.has("W_dQ.bias"),
                               .q_bias = file.has("W_uQ_rope.bias"),
                               .kv_a_bias = file.has("W_dKV.bias"),
                               .kv_b_bias = file.has("W_ukv_1.bias"),
                               .o_bias = file.has("o_proj.bias")};
  GroupedLatentAttention module(shape, form, /*absorb=*/true);
  module.to(torch::kFloat64);
  const auto theirs = [&](const std::string& name, const std::string& prefix) {
    const std::string part = name.substr(0, name.find('.')), end = name.substr(name.find('.'));
    const std::map<std::string, std::string> names{{"q_a_proj", "W_dQ"},
                                                   {"q_a_layernorm", "q_norm"},
                                                   {"q_b_proj", "W_uQ_rope"},
                                                   {"kv_a_proj_with_mqa", "W_dKV"}};
    if (part == "kv_a_layernorm") return joined(file, prefix + "kv_norm_", latents, end);
    if (part == "kv_b_proj") return joined(file, prefix + "W_ukv_", latents, end);
    const auto found = names.find(part);
    return file.tensor(prefix + (found == names.end() ? part : found->second) + end);
  };
  {
    const torch::NoGradGuard no_grad;
    for (auto& item : module.named_parameters()) item.value().copy_(theirs(item.key(), ""));
  }
  const auto sequence_of = [&](int64_t from, int64_t T) {
    const auto table = [&](const char* name) { return file.tensor(name).narrow(1, 0, from + T); };
    return std::make_shared<const Sequence>(
        SequenceParts{.begin = from, .T = T, .rotary = {{table("cos_1TR"), table("sin_1TR")}}});
  };
  const int64_t T = x.size(1);
  {
    const torch::NoGradGuard no_grad;
    LayerState state(module.state_layout(), x.size(0), T, torch::kFloat64);
    std::vector<torch::Tensor> steps;
    for (int64_t t = 0; t < T; ++t)
      steps.push_back(module.forward(
          {.x_BTD = x.detach().narrow(1, t, 1), .sequence = sequence_of(t, 1), .state = &state}));
    check.compare("out, absorbed step by step", torch::cat(steps, 1), file.tensor("out"), {.relative = 2e-5});
    if (file.facts.contains("cached_per_token"))
      check.expect("cached numbers per token",
                   numbers_per_token(module.state_layout()) == file.integer("cached_per_token"));
  }
  const auto out = module.forward({.x_BTD = x, .sequence = sequence_of(0, T)});
  check.compare("out", out, file.tensor("out"), {.relative = 2e-5});
  (out * file.tensor("cotangent")).sum().backward();
  check.compare("grad/x_BTD", x.grad(), file.tensor("grad/x_BTD"), {.relative = 1e-4});
  for (const auto& item : module.named_parameters())
    check.compare("grad/" + item.key(), item.value().grad(), theirs(item.key(), "grad/"), {.relative = 1e-4});
}

// Its tables turn by -θ: halves against each other.
void check_tpa(const CaseFile& file, CaseCheck& check) {
  const auto x = file.tensor("x_BTD").requires_grad_();
  const int64_t N = file.integer("n_heads"), H = file.integer("head_dim"), T = x.size(1);
  const AttentionShape shape{.d_model = x.size(2), .n_heads = N, .n_kv_heads = N, .head_dim = H};
  TpaAttention module(shape, {.q_rank = file.integer("r_q"),
                              .k_rank = file.integer("r_k"),
                              .v_rank = file.integer("r_v"),
                              .factor_bias = false,
                              .head_norm = file.has("subln.weight")});
  const auto name_of = [](const std::string& name) -> std::string {
    for (const std::string side : {"q", "k", "v"}) {
      if (name == side + "_heads.weight") return "c_qkv.W_A_" + side + ".weight";
      if (name == side + "_rows.weight") return "c_qkv.W_B_" + side + ".weight";
    }
    if (name == "q_proj.weight") return "c_qkv.c_q.weight";
    return name == "o_proj.weight" ? "c_proj.weight" : "subln.weight";
  };
  load_parameters(module, file, name_of);
  auto tables =
      rotary_tables(torch::arange(T).unsqueeze(0), H, file.facts.value("rope_theta", 10000.0), torch::kFloat64);
  tables.sin_BTH = -tables.sin_BTH;
  const bool rounded = file.facts.value("tables", "").find("bfloat16") != std::string::npos;
  for (auto* table : {&tables.cos_BTH, &tables.sin_BTH})
    if (rounded) *table = table->to(torch::kBFloat16).to(torch::kFloat64);
  if (file.facts.contains("cached_per_token"))
    check.expect("cached numbers per token",
                 numbers_per_token(module.state_layout()) == file.integer("cached_per_token"));
  const auto sequence = std::make_shared<const Sequence>(SequenceParts{.T = T, .rotary = {tables}});
  compare_module(check, module, file, name_of, x, module.forward({.x_BTD = x, .sequence = sequence}));
}

}  // namespace

bool check_latent_case(const CaseFile& file, CaseCheck& check) {
  if (file.has("W_dKV.weight") && file.has("W_ukv_1.weight")) return check_gla(file, check), true;
  if (file.has("c_qkv.W_B_k.weight")) return check_tpa(file, check), true;
  return false;
}

}  // namespace attnlab
