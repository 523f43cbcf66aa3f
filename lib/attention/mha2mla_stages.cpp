#include "attention/mha2mla_stages.h"

#include "attention/low_rank.h"
#include "attention/rope_selection.h"
#include "attention/spectral.h"

namespace attnlab {
namespace {

// Rows of heads [heads·H, …] in each head's order, `order_XH` [heads, H], as [heads, H, …].
torch::Tensor reordered(const torch::Tensor& rows, const torch::Tensor& order_XH) {
  const int64_t heads = order_XH.size(0), H = order_XH.size(1);
  const auto first = torch::arange(heads).unsqueeze(1) * H;
  return rows.index_select(0, (order_XH + first).flatten().to(rows.device())).unflatten(0, {heads, H});
}

// [k_nope; v] per KV head from a latent that holds all heads' k_nope, then all their v.
torch::Tensor latent_selection(int64_t G, int64_t H, int64_t r, torch::TensorOptions options) {
  const auto all = torch::eye(G * (2 * H - r), options);
  const auto keys = all.narrow(0, 0, G * (H - r)).unflatten(0, {G, H - r});
  const auto values = all.narrow(0, G * (H - r), G * H).unflatten(0, {G, H});
  return torch::cat({keys, values}, 1).flatten(0, 1);
}

}  // namespace

TensorMap select_rope_layer(const AttentionShape& shape, const GqaWeights& gqa,
                            const torch::Tensor& frequencies) {
  const int64_t G = shape.n_kv_heads, H = shape.head_dim, r = 2 * frequencies.size(1);
  const auto of_keys = selected_last_order(shape, frequencies);
  const auto of_queries = of_keys.repeat_interleave(shape.heads_per_kv(), 0);
  TensorMap out{
      {"o_proj.weight", gqa.o_weight},
      {"kv_b_proj.weight", latent_selection(G, H, r, gqa.k_weight.options())},
      {"rope_frequency", frequencies.flatten().to(gqa.k_weight.options())},
  };
  // What no longer turns has lost the factor that the base's cos and sin give to queries and keys.
  const double lost = shape.rotary_factor * shape.rotary_factor;
  const auto queries = [&](const torch::Tensor& q) {
    const auto q_NHx = reordered(q, of_queries);
    if (lost == 1) return q_NHx;
    return torch::cat({lost * q_NHx.narrow(1, 0, H - r), q_NHx.narrow(1, H - r, r)}, 1);
  };
  const auto store = [&](const std::string& kind, const torch::Tensor& q, const torch::Tensor& k,
                         const torch::Tensor& v) {
    const auto k_GHx = reordered(k, of_keys);
    out["q_proj." + kind] = queries(q).flatten(0, 1).contiguous();
    out["kv_a_proj." + kind] = torch::cat({k_GHx.narrow(1, 0, H - r).flatten(0, 1), v}, 0);
    out["k_rope_proj." + kind] = k_GHx.narrow(1, H - r, r).flatten(0, 1).contiguous();
  };
  store("weight", gqa.q_weight, gqa.k_weight, gqa.v_weight);
  if (gqa.k_bias.defined()) store("bias", gqa.q_bias, gqa.k_bias, gqa.v_bias);
  if (gqa.o_bias.defined()) out["o_proj.bias"] = gqa.o_bias;
  return out;
}

JointSvdLayer joint_svd_layer(const TensorMap& selected, int64_t kv_lora_rank) {
  const auto& weight = selected.at("kv_a_proj.weight");
  const bool has_bias = selected.contains("kv_a_proj.bias");
  const auto bias = has_bias ? selected.at("kv_a_proj.bias") : torch::Tensor();
  const auto factors = balanced(low_rank(weight, bias, white_moment(weight, bias), kv_lora_rank));
  const auto& selection = selected.at("kv_b_proj.weight");
  JointSvdLayer out{.tensors = selected, .kv_energy_kept = energy_kept(factors.energies, kv_lora_rank)};
  const auto store = [&](const char* name, const torch::Tensor& tensor) {
    out.tensors[name] = tensor.to(weight.options()).contiguous();
  };
  store("kv_a_proj.weight", factors.down);
  store("kv_b_proj.weight", torch::matmul(selection.to(torch::kFloat64), factors.up));
  if (has_bias) store("kv_a_proj.bias", factors.down_bias);
  return out;
}

}  // namespace attnlab
