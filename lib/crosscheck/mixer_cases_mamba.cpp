// Mamba's and Mamba-2's operators, and the layer that Mamba-in-the-Llama makes of GQA's projections.
#include "attention/mamba2_mixer.h"
#include "attention/mixer_parts.h"
#include "attention/selective_scan.h"
#include "crosscheck/mixer_cases.h"

namespace attnlab {
namespace {

// x [B, T, N, P], B and C [B, T, g, S], dt [B, T, N].
void check_ssd(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const int64_t N = leaves["x_BTNP"].size(2);
  const auto scan_in = [&](torch::ScalarType type, int64_t L) {
    const auto heads = [&](const char* name) {
      const auto x_BnTS = leaves[name].to(type).transpose(1, 2);
      return x_BnTS.repeat_interleave(N / x_BnTS.size(1), 1);
    };
    return mamba2_scan({.x_BNTP = heads("x_BTNP"),
                        .B_BNTS = heads("B_BTGS"),
                        .C_BNTS = heads("C_BTGS"),
                        .step_BTN = mamba_step(leaves["dt_BTN"].to(type), leaves["dt_bias_N"]),
                        .A_log_N = leaves["A_log_N"],
                        .D_N = leaves.has("D_N") ? leaves["D_N"] : torch::Tensor(),
                        .state_BNSP = {}},
                       {}, L);
  };
  const auto scanned = scan_in(torch::kFloat64, file.integer("chunk"));
  if (file.has("state"))
    check.compare("state", scanned.state_BNSP.transpose(2, 3), file.tensor("state"), {.relative = 2e-5});
  for (const int64_t L : {7, 64})
    check.compare("out in float32, chunks of " + std::to_string(L),
                  scan_in(torch::kFloat32, L).y_BNTP.transpose(1, 2), file.tensor("out"), {.relative = 2e-5});
  leaves.compare(check, scanned.y_BNTP.transpose(1, 2), {.relative = 2e-5}, {.relative = 1e-4});
}

// Mamba's operator: u, dt and z [B, C, T], B and C [B, S, T]; out is gated by silu(z).
void check_selective(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const auto run = [&](torch::ScalarType type, int64_t L) {
    const auto tokens = [&](const char* name) { return leaves[name].to(type).transpose(1, 2).unsqueeze(1); };
    // Bias, skip and gate are options of theirs.
    const auto optional = [&](const char* name) {
      return leaves.has(name) ? leaves[name].to(type) : torch::Tensor();
    };
    const auto bias_C = optional("dt_bias_C"), D_C = optional("D_C");
    auto out = selective_scan(
        {.x_BGTP = tokens("u_BCT"),
         .step_BNTP = torch::softplus(bias_C.defined() ? tokens("dt_BCT") + bias_C : tokens("dt_BCT")),
         .A_NPS = -leaves["A_log_CS"].to(type).exp().unsqueeze(0),
         .B_BGTS = tokens("B_BST"),
         .C_BNTS = tokens("C_BST"),
         .D_NP = D_C.defined() ? D_C.unsqueeze(0) : D_C,
         .ids_BT = {},
         .state_BNPS = {}},
        L);
    if (leaves.has("z_BCT")) out.y_BNTP = out.y_BNTP * torch::silu(tokens("z_BCT"));
    out.y_BNTP = out.y_BNTP.squeeze(1).transpose(1, 2);
    return out;
  };
  const auto out = run(torch::kFloat64, 16);
  if (file.has("state"))
    check.compare("state", out.state_BNPS.squeeze(1), file.tensor("state"), {.relative = 2e-5});
  for (const int64_t L : {7, 32})
    check.compare("out in float32, chunks of " + std::to_string(L), run(torch::kFloat32, L).y_BNTP,
                  file.tensor("out"), {.relative = 2e-5});
  leaves.compare(check, out.y_BNTP, {.relative = 2e-5}, {.relative = 1e-4});
}

void check_from_gqa(const CaseFile& file, CaseCheck& check) {
  const auto x = file.tensor("x_BTD").requires_grad_();
  const AttentionShape shape{.d_model = x.size(2),
                             .n_heads = file.integer("n_heads"),
                             .n_kv_heads = file.integer("n_kv_heads"),
                             .head_dim = file.integer("head_dim")};
  Mamba2Mixer mixer(shape, {.start = Mamba2Start::mamba_in_the_llama,
                            .rotary = false,
                            .conv_kernel = file.tensor("conv_weight").size(1)});
  const auto name_of = [](const std::string& name) -> std::string {
    if (name == "z_proj.weight") return "w_z";
    if (name == "dt_proj.weight") return "w_dt";
    return name.substr(0, name.find('.'));  // the projections' names are those of their weights
  };
  load_parameters(mixer, file, name_of);
  const int64_t T = x.size(1);
  if (file.has("state")) {
    const torch::NoGradGuard no_grad;
    LayerState state(mixer.state_layout(), x.size(0), T, torch::kFloat64);
    mixer.forward({.x_BTD = x.detach(), .sequence = whole_sequence(T), .state = &state});
    const auto expected = file.tensor("state");  // [B, N, P, S]
    const int64_t H = shape.head_dim;
    check.compare("state", state.fixed(0).unflatten(2, {H, H}).transpose(2, 3), expected, {.relative = 2e-5});
  }
  compare_module(check, mixer, file, name_of, x, mixer.forward({.x_BTD = x, .sequence = whole_sequence(T)}));
}

}  // namespace

bool check_mamba_case(const CaseFile& file, CaseCheck& check) {
  if (file.has("x_BTNP") && file.has("B_BTGS")) return check_ssd(file, check), true;
  if (file.has("u_BCT") && file.has("A_log_CS")) return check_selective(file, check), true;
  if (file.has("w_z") && file.has("w_dt")) return check_from_gqa(file, check), true;
  return false;
}

}  // namespace attnlab
