#include "attention/rope_selection.h"

#include <vector>

namespace attnlab {
namespace {

// Squared norms of pairs: [.., heads·H] → [.., heads, h].
torch::Tensor pair_energies(const torch::Tensor& x, int64_t heads) {
  return x.to(torch::kFloat64).unflatten(-1, {heads, 2, -1}).square().sum(-2);
}

// [.., N, h] and [.., G, h] → [.., G, h].
torch::Tensor products(const AttentionShape& shape, const torch::Tensor& q_energies,
                       const torch::Tensor& k_energies) {
  const auto per_group = q_energies.sqrt().unflatten(-2, {shape.n_kv_heads, shape.heads_per_kv()}).sum(-2);
  return per_group * k_energies.sqrt();
}

}  // namespace

PairStrengths token_strengths(const AttentionShape& shape, const torch::Tensor& q_PX,
                              const torch::Tensor& k_PX) {
  const auto k_PGh = pair_energies(k_PX, shape.n_kv_heads);
  return {.products = products(shape, pair_energies(q_PX, shape.n_heads), k_PGh).sum(0),
          .energies = k_PGh.sum(0)};
}

PairStrengths weight_strengths(const AttentionShape& shape, const GqaWeights& gqa) {
  const auto q_Nh = pair_energies(with_bias(gqa.q_weight, gqa.q_bias).t(), shape.n_heads).sum(0);
  const auto k_Gh = pair_energies(with_bias(gqa.k_weight, gqa.k_bias).t(), shape.n_kv_heads).sum(0);
  return {.products = products(shape, q_Nh, k_Gh), .energies = k_Gh};
}

torch::Tensor select_frequencies(const AttentionShape& shape, int64_t r, RopeSelect select,
                                 const torch::Tensor& products_Gh) {
  const int64_t G = shape.n_kv_heads, h = shape.head_dim / 2, kept = r / 2;
  if (select == RopeSelect::norm) {
    const auto order = std::get<1>(products_Gh.cpu().sort(/*stable=*/true, 1, /*descending=*/true));
    return std::get<0>(order.narrow(1, 0, kept).sort(1));
  }
  auto index = torch::arange(kept, torch::kInt64);
  if (select == RopeSelect::uniform) index = torch::floor_divide(index * h, kept);
  return index.expand({G, kept}).contiguous();
}

torch::Tensor selected_last_order(const AttentionShape& shape, const torch::Tensor& frequencies) {
  const int64_t G = shape.n_kv_heads, H = shape.head_dim, h = H / 2;
  const auto chosen = frequencies.cpu();
  const auto both = torch::cat({chosen, chosen + h}, 1);  // [G, r]
  const auto plain = torch::ones({G, H}, torch::kBool).scatter(1, both, false);
  const auto rest = torch::arange(H).expand({G, H}).masked_select(plain).view({G, H - both.size(1)});
  return torch::cat({rest, both}, 1);
}

}  // namespace attnlab
