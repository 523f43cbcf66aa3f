#include "attention/recurrence.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr int64_t kChunksAtOnce = 32;
constexpr double kNever = -std::numeric_limits<double>::infinity();

}  // namespace

FullPrecision::FullPrecision() : no_autocast_(c10::autocast_dispatch_keyset) {}

torch::Tensor in_full(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat64 ? x : x.to(torch::kFloat32);
}

Segments Segments::of(const Sequence& sequence) {
  Segments out{.valid_BT = sequence.valid_BT(), .ids_BT = sequence.starts_BT()};
  if (out.ids_BT.defined()) out.ids_BT = out.ids_BT.cumsum(1);
  return out;
}

torch::Tensor Segments::only_valid(const torch::Tensor& x, int64_t dim) const {
  if (!valid_BT.defined()) return x;
  auto counts = valid_BT;
  for (int64_t i = 1; i < dim; ++i) counts = counts.unsqueeze(1);
  for (int64_t i = dim + 1; i < x.dim(); ++i) counts = counts.unsqueeze(-1);
  return x.masked_fill(counts.logical_not(), 0);
}

torch::Tensor causal_mask(int64_t L, const torch::Tensor& ids_L, torch::Device device, bool strict) {
  const auto causal_LL = torch::ones({L, L}, torch::dtype(torch::kBool).device(device)).tril(strict ? -1 : 0);
  if (!ids_L.defined()) return causal_LL;
  return causal_LL.logical_and(ids_L.unsqueeze(-1) == ids_L.unsqueeze(-2));
}

torch::Tensor decay_matrix(const torch::Tensor& log_decay_L) {
  const auto sums_L = log_decay_L.cumsum(-1);
  const auto apart_LL = sums_L.unsqueeze(-1) - sums_L.unsqueeze(-2);
  const auto above = causal_mask(log_decay_L.size(-1), {}, log_decay_L.device()).logical_not();
  return apart_LL.masked_fill(above, kNever).exp();
}

CarriedStates carry_states(const torch::Tensor& X_BGYCZ, const torch::Tensor& a_BGYC,
                           const torch::Tensor& ids_BC, const torch::Tensor& before_BGYZ) {
  const auto& X = X_BGYCZ;
  const int64_t C = X.size(3);
  auto state_BGYZ = before_BGYZ.defined() ? before_BGYZ : torch::zeros_like(X.select(3, 0));
  torch::Tensor id_B1;  // the document that the state is of
  if (ids_BC.defined()) id_B1 = torch::zeros_like(ids_BC.narrow(1, 0, 1));
  std::vector<torch::Tensor> before;
  for (int64_t first = 0; first < C; first += kChunksAtOnce) {
    const int64_t n = std::min(kChunksAtOnce, C - first);
    const auto X_n = X.narrow(3, first, n);
    const auto a_n = a_BGYC.defined() ? a_BGYC.narrow(3, first, n) : torch::Tensor();
    auto among_nn = a_n.defined() ? decay_matrix(a_n) : torch::ones({n, n}, X.options()).tril();
    auto carried_n = a_n.defined() ? a_n.cumsum(3).exp() : torch::ones({n}, X.options());
    if (ids_BC.defined()) {
      const auto ids_Bn = ids_BC.narrow(1, first, n);
      among_nn = among_nn * causal_mask(n, ids_Bn, X.device()).view({-1, 1, 1, n, n});
      carried_n = carried_n * (ids_Bn == id_B1).view({-1, 1, 1, n});
      id_B1 = ids_Bn.narrow(1, n - 1, 1);
    }
    const auto states_BGYnZ = torch::matmul(among_nn, X_n) + carried_n.unsqueeze(-1) * state_BGYZ.unsqueeze(3);
    before.push_back(state_BGYZ.unsqueeze(3));
    if (n > 1) before.push_back(states_BGYnZ.narrow(3, 0, n - 1));
    state_BGYZ = states_BGYnZ.select(3, n - 1);
  }
  return {.before_BGYCZ = torch::cat(before, 3), .last_BGYZ = state_BGYZ};
}

Convolved short_convolution(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK,
                            const torch::Tensor& bias_C, const torch::Tensor& last_BKC,
                            const Segments& segments) {
  const int64_t B = x_BTC.size(0), T = x_BTC.size(1), C = x_BTC.size(2), K = weight_CK.size(1);
  const auto before =
      last_BKC.defined() ? last_BKC.to(x_BTC.dtype()) : torch::zeros({B, K - 1, C}, x_BTC.options());
  const auto all_BTC = torch::cat({before, x_BTC}, 1);
  torch::Tensor ids_BT, all_ids_BT;
  if (segments.ids_BT.defined()) {
    ids_BT = segments.ids_BT;
    all_ids_BT = torch::constant_pad_nd(ids_BT, {K - 1, 0}, 0);
  }
  torch::Tensor y_BTC;
  for (int64_t j = 0; j < K; ++j) {
    auto term = all_BTC.narrow(1, j, T) * weight_CK.select(1, j);
    if (ids_BT.defined() && j + 1 < K)
      term = term.masked_fill((all_ids_BT.narrow(1, j, T) != ids_BT).unsqueeze(-1), 0);
    y_BTC = y_BTC.defined() ? y_BTC + term : term;
  }
  if (bias_C.defined()) y_BTC = y_BTC + bias_C;
  auto last = all_BTC.narrow(1, T, K - 1);
  if (ids_BT.defined() && K > 1)  // what is of an earlier document is not seen by the tokens that come
    last = last.masked_fill((all_ids_BT.narrow(1, T, K - 1) != ids_BT.narrow(1, T - 1, 1)).unsqueeze(-1), 0);
  return {.y_BTC = y_BTC, .last_BKC = last};
}

torch::Tensor shifted(const torch::Tensor& x_BTD, const torch::Tensor& last_B1D, const Segments& segments) {
  const int64_t T = x_BTD.size(1);
  const auto first = last_B1D.defined() ? last_B1D.to(x_BTD.dtype()) : torch::zeros_like(x_BTD.narrow(1, 0, 1));
  const auto before_BTD = T > 1 ? torch::cat({first, x_BTD.narrow(1, 0, T - 1)}, 1) : first;
  if (!segments.ids_BT.defined()) return before_BTD;
  const auto begins_BT = torch::diff(segments.ids_BT, 1, 1, torch::zeros_like(segments.ids_BT.narrow(1, 0, 1)));
  return before_BTD.masked_fill((begins_BT > 0).unsqueeze(-1), 0);
}

}  // namespace attnlab
