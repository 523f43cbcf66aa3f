// Linear attention: the operator of flash-linear-attention and fast-transformers, and LoLCATs' layer.
#include "attention/linear_mixer.h"
#include "crosscheck/mixer_cases.h"

namespace attnlab {
namespace {

torch::Tensor by_heads(const torch::Tensor& x_BTNH) { return x_BTNH.transpose(1, 2); }

// φ = elu + 1 of q and k [B, T, N, H], v [B, T, N, P].
void check_operator(const CaseFile& file, CaseCheck& check) {
  Leaves leaves(file);
  const double eps = file.number("eps");
  const auto scan_in = [&](torch::ScalarType type, int64_t L) {
    const auto features = [&](const char* name) { return elu_plus_one(by_heads(leaves[name].to(type))); };
    return normalised_scan({.q_BGMTF = features("q_BTNH").unsqueeze(2),
                            .k_BGTF = features("k_BTNH"),
                            .v_BGTP = by_heads(leaves["v_BTNH"].to(type)),
                            .log_decay_BGT = {},
                            .ids_BT = {},
                            .state_BGFP = {}},
                           eps, L);
  };
  const auto allowed = allowed_beside_float32(file, "out", 2e-5);
  const auto scanned = scan_in(torch::kFloat64, 16);
  const auto out_of = [](const Scanned& scan) { return scan.o_BGMTP.squeeze(2).transpose(1, 2); };
  const auto state = scanned.state_BGFP.detach();
  const int64_t P = state.size(3) - 1;
  if (file.has("state_S")) {
    check.compare("state_S", state.narrow(3, 0, P), file.tensor("state_S"), allowed);
    const auto z = file.tensor("state_z");
    check.compare("state_z", state.select(3, P).view_as(z), z, allowed);
  }
  for (const int64_t L : {7, 64})
    check.compare("out in float32, chunks of " + std::to_string(L), out_of(scan_in(torch::kFloat32, L)),
                  file.tensor("out"), allowed);
  leaves.compare(check, out_of(scanned), allowed, allowed_beside_float32(file, "grad/k_BTNH", 1e-4));
}

std::optional<FeatureMapKind> lolcats_map(const std::string& name) {
  if (name == "pos_elu") return FeatureMapKind::elu;
  if (name == "relu") return FeatureMapKind::t2r;
  if (name == "softmax_dim") return FeatureMapKind::hedgehog;
  return std::nullopt;
}

void check_lolcats(const CaseFile& file, CaseCheck& check) {
  const auto map = lolcats_map(file.text("feature_map"));
  const bool has_map = file.has("feature_map_q.mlp.layer");
  if (!map) return check.not_checked("no feature map here is known as " + file.text("feature_map"));
  if (has_map == (*map == FeatureMapKind::elu)) return check.not_checked("a map that this one has not");
  const bool has_bias = file.has("feature_map_q.mlp.bias");
  if (has_bias && *map != FeatureMapKind::t2r) return check.not_checked("a bias that this map has not");
  if (has_map && file.facts.contains("kernel") && file.facts["kernel"].value("skip_connection", false))
    return check.not_checked("a map of x + W x");
  const auto x = file.tensor("x_BTD").requires_grad_();
  const int64_t N = file.integer("n_heads"), H = file.integer("head_dim"), T = x.size(1);
  const AttentionShape shape{.d_model = x.size(2),
                             .n_heads = N,
                             .n_kv_heads = file.integer("n_kv_heads"),
                             .head_dim = H,
                             .qkv_bias = file.has("q_proj.bias"),
                             .o_bias = file.has("o_proj.bias")};
  const int64_t rows = has_map ? file.tensor("feature_map_q.mlp.layer").size(2) : 0;
  LinearMixer mixer(shape, {.map = *map, .map_rows = rows, .by_query_head = true, .eps = 1e-12});
  mixer.to(torch::kFloat64);
  // Theirs are [N, H, rows] and one bias a head (or one a row).
  const auto theirs = [](std::string name) {
    for (const auto& [ours, other] : {std::pair{"q_map.weight", "feature_map_q.mlp.layer"},
                                      {"k_map.weight", "feature_map_k.mlp.layer"},
                                      {"q_map.bias", "feature_map_q.mlp.bias"},
                                      {"k_map.bias", "feature_map_k.mlp.bias"}})
      if (name == ours) return std::string(other);
    return name;
  };
  const auto ours = [&](const std::string& name, const torch::Tensor& value) {
    if (name.ends_with("map.weight")) return value.transpose(1, 2);
    return name.ends_with("map.bias") ? value.view({N, -1}) : value;
  };
  {
    const torch::NoGradGuard no_grad;
    for (auto& item : mixer.named_parameters()) {
      const auto name = theirs(item.key());
      if (file.has(name) || !name.ends_with("mlp.bias"))
        item.value().copy_(ours(item.key(), file.tensor(name)));
      else
        item.value().zero_();
    }
  }
  const auto out =
      mixer.forward({.x_BTD = x, .sequence = whole_sequence(T, H, file.facts.value("rope_theta", 10000.0))});
  check.compare("out", out, file.tensor("out"), {.relative = 2e-5});
  (out * file.tensor("cotangent")).sum().backward();
  if (file.has("grad/x_BTD"))
    check.compare("grad/x_BTD", x.grad(), file.tensor("grad/x_BTD"), {.relative = 1e-4});
  for (const auto& item : mixer.named_parameters()) {
    const auto name = "grad/" + theirs(item.key());
    if (!file.has(name)) continue;
    const auto expected = ours(item.key(), file.tensor(name));
    auto gradient = item.value().grad();
    if (gradient.sizes() != expected.sizes()) gradient = gradient.sum(1, true);  // of one bias a head
    check.compare(name, gradient, expected, {.relative = 1e-4});
  }
}

}  // namespace

bool check_linear_case(const CaseFile& file, CaseCheck& check) {
  if (file.facts.contains("feature_map")) return check_lolcats(file, check), true;
  if (!file.has("q_BTNH") || !file.has("v_BTNH") || !file.facts.contains("eps")) return false;
  return check_operator(file, check), true;
}

}  // namespace attnlab
