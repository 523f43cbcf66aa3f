#include "attention/recurrence.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/errors.h"
#include "kernels/short_conv.h"

namespace attnlab {
namespace {

constexpr int64_t kChunksAtOnce = 32;
constexpr double kNever = -std::numeric_limits<double>::infinity();

// The last inputs of a pass [B, K - 1, C], without what the tokens that come don't see: that of earlier
// documents.
torch::Tensor of_last_document(const torch::Tensor& last_BKC, const torch::Tensor& ids_BT) {
  const int64_t kept = last_BKC.size(1);
  if (!ids_BT.defined() || kept == 0) return last_BKC;
  const int64_t T = ids_BT.size(1);
  const auto ids = torch::constant_pad_nd(ids_BT, {kept, 0}, 0).narrow(1, T, kept);
  return last_BKC.masked_fill((ids != ids_BT.narrow(1, T - 1, 1)).unsqueeze(-1), 0);
}

Convolved convolved_by_kernel(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK,
                              const torch::Tensor& bias_C, const Segments& segments) {
  const int64_t T = x_BTC.size(1), missing = std::max<int64_t>(0, weight_CK.size(1) - 1 - T),
                kept = weight_CK.size(1) - 1 - missing;
  const auto& ids = segments.ids_BT;
  const auto y = short_conv(x_BTC, weight_CK, bias_C, ids.defined() ? beginnings(ids) : ids);
  const auto last = torch::constant_pad_nd(in_full(x_BTC.narrow(1, T - kept, kept)), {0, 0, missing, 0});
  return {.y_BTC = y, .last_BKC = of_last_document(last, ids)};
}

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

torch::Tensor beginnings(const torch::Tensor& ids_BT) {
  const auto before = torch::constant_pad_nd(ids_BT.narrow(1, 0, ids_BT.size(1) - 1), {1, 0});
  return ids_BT != before;
}

torch::Tensor padded_behind(const torch::Tensor& x, int64_t dim, int64_t missing) {
  if (missing == 0) return x;
  std::vector<int64_t> pads(static_cast<size_t>(2 * (x.dim() - dim)), 0);
  pads.back() = missing;
  return torch::constant_pad_nd(x, pads);
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
  const int64_t C = X_BGYCZ.size(3), n = std::min(kChunksAtOnce, C), groups = (C + n - 1) / n;
  const int64_t missing = groups * n - C;
  const auto X = padded_behind(X_BGYCZ, 3, missing).unflatten(3, {groups, n});
  torch::Tensor a, ids_Bgn;
  auto among_nn = torch::ones({n, n}, X.options()).tril();
  if (a_BGYC.defined()) {
    a = padded_behind(a_BGYC, 3, missing).unflatten(3, {groups, n});
    among_nn = decay_matrix(a);
  }
  if (ids_BC.defined()) {
    const auto last = ids_BC.narrow(1, C - 1, 1).expand({-1, missing});
    ids_Bgn = torch::cat({ids_BC, last}, 1).unflatten(1, {groups, n});
    among_nn = among_nn * causal_mask(n, ids_Bgn, X.device()).view({-1, 1, 1, groups, n, n});
  }
  // States at each chunk's end, as if each group began with none: [B, G, Y, groups, n, Z].
  auto states = torch::matmul(among_nn, X);
  const auto ends = states.select(4, n - 1);
  const auto first_BGYZ = before_BGYZ.defined() ? before_BGYZ : torch::zeros_like(ends.select(3, 0));
  CarriedStates of_groups{.before_BGYCZ = first_BGYZ.unsqueeze(3), .last_BGYZ = {}};
  if (groups > 1)
    of_groups = carry_states(ends, a.defined() ? a.sum(-1) : a,
                             ids_Bgn.defined() ? ids_Bgn.select(2, n - 1) : ids_Bgn, first_BGYZ);
  auto carried = a.defined() ? a.cumsum(-1).exp() : torch::ones({n}, X.options());
  if (ids_Bgn.defined()) {
    const auto entering_Bg = torch::constant_pad_nd(ids_Bgn.select(2, n - 1).narrow(1, 0, groups - 1), {1, 0});
    carried = carried * (ids_Bgn == entering_Bg.unsqueeze(2)).view({-1, 1, 1, groups, n});
  }
  const auto entering = of_groups.before_BGYCZ.unsqueeze(4);
  states = states + carried.unsqueeze(-1) * entering;
  const auto before = torch::cat({entering, states.narrow(4, 0, n - 1)}, 4).flatten(3, 4).narrow(3, 0, C);
  return {.before_BGYCZ = before, .last_BGYZ = states.select(3, groups - 1).select(3, n - 1)};
}

CarriedMaps carry_maps(const torch::Tensor& M_BNCKK, const torch::Tensor& X_BNCKV,
                       const torch::Tensor& before_BNKV) {
  const auto S_BN1KV = before_BNKV.unsqueeze(2);
  const int64_t C = X_BNCKV.size(2), pairs = C / 2;
  if (C == 1) return {S_BN1KV, (torch::matmul(M_BNCKK, S_BN1KV) + X_BNCKV).squeeze(2)};
  const auto of_pairs = [&](const torch::Tensor& x, int64_t i) {
    return x.narrow(2, 0, 2 * pairs).unflatten(2, {pairs, 2}).select(3, i);
  };
  const auto M0 = of_pairs(M_BNCKK, 0), M1 = of_pairs(M_BNCKK, 1), X0 = of_pairs(X_BNCKV, 0),
             X1 = of_pairs(X_BNCKV, 1);
  const auto joined = carry_maps(torch::matmul(M1, M0), torch::matmul(M1, X0) + X1, before_BNKV);
  const auto between = torch::matmul(M0, joined.before_BNCKV) + X0;
  CarriedMaps out{torch::stack({joined.before_BNCKV, between}, 3).flatten(2, 3), joined.last_BNKV};
  if (C % 2 == 0) return out;
  const auto last_BN1KV = out.last_BNKV.unsqueeze(2);
  out.before_BNCKV = torch::cat({out.before_BNCKV, last_BN1KV}, 2);
  out.last_BNKV =
      (torch::matmul(M_BNCKK.narrow(2, C - 1, 1), last_BN1KV) + X_BNCKV.narrow(2, C - 1, 1)).squeeze(2);
  return out;
}

Convolved short_convolution(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK,
                            const torch::Tensor& bias_C, const torch::Tensor& last_BKC,
                            const Segments& segments) {
  const int64_t B = x_BTC.size(0), T = x_BTC.size(1), C = x_BTC.size(2), K = weight_CK.size(1);
  if (!last_BKC.defined() && fits_short_conv(x_BTC, weight_CK))
    return convolved_by_kernel(x_BTC, weight_CK, bias_C, segments);
  const auto x = in_full(x_BTC);
  const auto before = last_BKC.defined() ? last_BKC.to(x.dtype()) : torch::zeros({B, K - 1, C}, x.options());
  const auto all_BTC = torch::cat({before, x}, 1);
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
  return {.y_BTC = y_BTC, .last_BKC = of_last_document(all_BTC.narrow(1, T, K - 1), ids_BT)};
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
