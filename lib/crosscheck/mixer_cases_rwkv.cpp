// RWKV-4, 6 and 7: operators, time mixing and a whole RWKV-7.
#include "attention/rwkv_mixer.h"
#include "attention/wkv.h"
#include "crosscheck/mixer_cases.h"

namespace attnlab {
namespace {

torch::Tensor heads_first(const torch::Tensor& x_BTNH) { return x_BTNH.transpose(1, 2); }

void check_wkv4(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const auto& k = leaves["k_BTC"];
  const auto run = [&](torch::ScalarType type) {
    const auto as = [&](const char* name) { return leaves[name].to(type); };
    const auto keys = as("k_BTC");
    return wkv4(as("time_decay"), as("time_first"), keys, as("v_BTC"),
                Wkv4State::none(k.size(0), k.size(2), keys.options()), {});
  };
  const auto out = run(torch::kFloat64);
  const Allowed near{.relative = 2e-5};
  if (file.has("state_max")) {
    check.compare("state_num", out.state.sum_BC, file.tensor("state_num"), near);
    check.compare("state_den", out.state.weight_BC, file.tensor("state_den"), near);
    check.compare("state_max", out.state.largest_BC, file.tensor("state_max"), near);
  }
  check.compare("out in float32", run(torch::kFloat32).o_BTC, file.tensor("out"), near);
  // Large keys leave few digits between them: 1e-3 of the largest gradient.
  const bool large = k.abs().max().item<double>() > 80;
  leaves.compare(check, out.o_BTC, near, {.relative = large ? 1e-3 : 1e-4});
}

void check_wkv6(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const auto run = [&](torch::ScalarType type, int64_t L) {
    const auto heads = [&](const char* name) { return heads_first(leaves[name].to(type)); };
    return wkv6({.r_BNTK = heads("r_BTNH"),
                 .k_BNTK = heads("k_BTNH"),
                 .v_BNTV = heads("v_BTNH"),
                 .w_BNTK = heads("logw_BTNH"),
                 .u_NK = leaves["u_NH"].to(type),
                 .ids_BT = {},
                 .state_BNKV = {}},
                L);
  };
  const auto out = run(torch::kFloat64, 16);
  if (file.has("state")) check.compare("state", out.state_BNKV, file.tensor("state"), {.relative = 2e-5});
  for (const int64_t L : {7, 16, 32})
    check.compare("out in float32, chunks of " + std::to_string(L), heads_first(run(torch::kFloat32, L).o_BNTV),
                  file.tensor("out"), {.relative = 1e-4});
  leaves.compare(check, heads_first(out.o_BNTV), {.relative = 2e-5}, {.relative = 1e-4});
}

void check_wkv7(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const int64_t N = file.integer("n_heads");
  const bool mild = leaves["w_BTC"].max().item<double>() <= 0;  // decays of at most e^-1 a token
  const auto run = [&](torch::ScalarType type, int64_t L) {
    const auto heads = [&](const char* name) {
      return heads_first(leaves[name].to(type).unflatten(2, {N, -1}));
    };
    return wkv7({.r_BNTK = heads("r_BTC"),
                 .w_BNTK = -heads("w_BTC").exp(),
                 .k_BNTK = heads("k_BTC"),
                 .v_BNTV = heads("v_BTC"),
                 .a_BNTK = heads("a_BTC"),
                 .b_BNTK = heads("b_BTC"),
                 .ids_BT = {},
                 .state_BNKV = {},
                 .mild = mild},
                L);
  };
  const auto flat = [](const WkvOut& out) { return heads_first(out.o_BNTV).flatten(2); };
  for (const int64_t L : {7, 16})
    check.compare("out in float32, chunks of " + std::to_string(L), flat(run(torch::kFloat32, L)),
                  file.tensor("out"), {.relative = 2e-5});
  leaves.compare(check, flat(run(torch::kFloat64, 16)), {.relative = 2e-5}, {.relative = 1e-4});
}

// Theirs of our names; RWKV-7's others are the same.
const std::map<std::string, std::string> kTheirNames{{"mu_x", "time_maa_x"},
                                                     {"mu_w", "time_maa_w"},
                                                     {"mu_k", "time_maa_k"},
                                                     {"mu_v", "time_maa_v"},
                                                     {"mu_r", "time_maa_r"},
                                                     {"mu_g", "time_maa_g"},
                                                     {"mix_in", "time_maa_w1"},
                                                     {"mix_out", "time_maa_w2"},
                                                     {"decay", "time_decay"},
                                                     {"decay_in", "time_decay_w1"},
                                                     {"decay_out", "time_decay_w2"},
                                                     {"bonus", "time_faaaa"},
                                                     {"q_proj.weight", "receptance.weight"},
                                                     {"k_proj.weight", "key.weight"},
                                                     {"v_proj.weight", "value.weight"},
                                                     {"o_proj.weight", "output.weight"},
                                                     {"gate_proj.weight", "gate.weight"},
                                                     {"norm_weight", "ln_x.weight"},
                                                     {"norm_bias", "ln_x.bias"}};

NameOf names_behind(const std::string& prefix) {
  return [prefix](const std::string& name) {
    const auto found = kTheirNames.find(name);
    return prefix + (found == kTheirNames.end() ? name : found->second);
  };
}

AttentionShape rwkv_shape(const CaseFile& file, const std::string& prefix, const char* by_head) {
  const auto heads = file.tensor(prefix + by_head);  // [N, H]
  return {.d_model = file.tensor(prefix + "receptance.weight").size(1),
          .n_heads = heads.size(0),
          .n_kv_heads = heads.size(0),
          .head_dim = heads.size(1)};
}

void check_time_mix6(const CaseFile& file, CaseCheck& check) {
  const auto x = file.tensor("x_BTD").requires_grad_();
  Rwkv6Mixer mixer(rwkv_shape(file, "w/", "time_faaaa"),
                   {.mix_rank = file.tensor("w/time_maa_w2").size(1),
                    .decay_rank = file.tensor("w/time_decay_w2").size(0),
                    .gate_bias = false,
                    .norm_divisor = file.facts.value("head_size_divisor", 8.0)});
  const auto name_of = names_behind("w/");
  load_parameters(mixer, file, name_of);
  compare_module(check, mixer, file, name_of, x,
                 mixer.forward({.x_BTD = x, .sequence = whole_sequence(x.size(1))}));
}

std::shared_ptr<Rwkv7Mixer> time_mix7(const CaseFile& file, const std::string& prefix, bool mixes_values) {
  const auto rank = [&](const char* name) { return file.tensor(prefix + name).size(0); };
  auto mixer = std::make_shared<Rwkv7Mixer>(rwkv_shape(file, prefix, "r_k"),
                                            Rwkv7Form{.w_rank = rank("w2"),
                                                      .a_rank = rank("a2"),
                                                      .g_rank = rank("g2"),
                                                      .v_rank = mixes_values ? rank("v2") : 0});
  load_parameters(*mixer, file, names_behind(prefix));
  return mixer;
}

void check_time_mix7(const CaseFile& file, CaseCheck& check) {
  const auto x = file.tensor("x_BTD").requires_grad_();
  const bool later = file.has("v_first_BTD");
  const auto mixer = time_mix7(file, "w/", later && file.has("w/v2"));
  torch::Tensor first;
  if (later) {
    first = file.tensor("v_first_BTD").requires_grad_();
    mixer->mix_with(first);
  }
  const auto out = mixer->forward({.x_BTD = x, .sequence = whole_sequence(x.size(1))});
  compare_module(check, *mixer, file, names_behind("w/"), x, out);
  if (later && file.has("grad/v_first_BTD"))
    check.compare("grad/v_first_BTD", first.grad(), file.tensor("grad/v_first_BTD"), {.relative = 1e-4});
}

// The whole of RWKV-7: a norm behind the embedding, then time mixing and channel mixing, relu(W_k x_k)² W_v.
void check_model7(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const auto norm = [&](const torch::Tensor& x, const std::string& name) {
    const auto& weight = leaves["w/" + name + ".weight"];
    return torch::layer_norm(x, weight.sizes(), weight, leaves["w/" + name + ".bias"], 1e-5);
  };
  std::vector<std::shared_ptr<Rwkv7Mixer>> mixers;
  auto x = torch::embedding(leaves["w/emb.weight"], file.tensor("input_ids", torch::kInt64));
  const auto sequence = whole_sequence(x.size(1));
  for (int64_t i = 0; file.has("w/blocks." + std::to_string(i) + ".ln1.weight"); ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    if (i == 0) x = norm(x, block + "ln0");
    mixers.push_back(time_mix7(file, "w/" + block + "att.", i > 0));
    if (i > 0) mixers.back()->mix_with(mixers.front()->values());
    x = x + mixers.back()->forward({.x_BTD = norm(x, block + "ln1"), .sequence = sequence});
    const auto y = norm(x, block + "ln2");
    const auto y_k = y + (shifted(y, {}, {}) - y) * leaves["w/" + block + "ffn.x_k"].flatten();
    const auto k = torch::relu(torch::linear(y_k, leaves["w/" + block + "ffn.key.weight"])).square();
    x = x + torch::linear(k, leaves["w/" + block + "ffn.value.weight"]);
  }
  const auto out = torch::linear(norm(x, "ln_out"), leaves["w/head.weight"]);
  leaves.compare(check, out, {.relative = 2e-5}, {.relative = 1e-4});
  for (size_t i = 0; i < mixers.size(); ++i) {
    const auto name_of = names_behind("grad/w/blocks." + std::to_string(i) + ".att.");
    for (const auto& item : mixers[i]->named_parameters()) {
      const auto name = name_of(item.key());
      if (!file.has(name)) continue;
      const auto expected = file.tensor(name);
      check.compare(name, item.value().grad().view_as(expected), expected, {.relative = 1e-4});
    }
  }
}

}  // namespace

bool check_rwkv_case(const CaseFile& file, CaseCheck& check) {
  if (file.has("time_first") && file.has("k_BTC")) return check_wkv4(file, check), true;
  if (file.has("logw_BTNH")) return check_wkv6(file, check), true;
  if (file.has("w_BTC") && file.has("a_BTC")) return check_wkv7(file, check), true;
  if (file.has("w/time_maa_x")) return check_time_mix6(file, check), true;
  if (file.has("w/x_w") && file.has("w/k_k")) return check_time_mix7(file, check), true;
  if (file.has("w/blocks.0.att.x_w")) return check_model7(file, check), true;
  return false;
}

}  // namespace attnlab
