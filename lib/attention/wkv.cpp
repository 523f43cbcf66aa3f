#include "attention/wkv.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace attnlab {
namespace {

// Σ_k q_ik k_jk exp(a_ik - c_jk) for the pairs that `sees` admits, else 0: [.., L, L].
torch::Tensor decayed_pairs(const torch::Tensor& q_LK, const torch::Tensor& k_LK, const torch::Tensor& a_LK,
                            const torch::Tensor& c_LK, const torch::Tensor& sees_LL) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  const auto apart_LLK = a_LK.unsqueeze(-2) - c_LK.unsqueeze(-3);
  const auto decay_LLK = apart_LLK.masked_fill(sees_LL.logical_not().unsqueeze(-1), kNothing).exp();
  return torch::matmul(decay_LLK * k_LK.unsqueeze(-3), q_LK.unsqueeze(-1)).squeeze(-1);
}

// The same where no decay of a chunk is stronger than e^-L: q e^{a - m} · k e^{m - c} with m that of the
// middle, so that neither factor leaves e^±L/2.
torch::Tensor mildly_decayed_pairs(const torch::Tensor& q_LK, const torch::Tensor& k_LK,
                                   const torch::Tensor& a_LK, const torch::Tensor& c_LK,
                                   const torch::Tensor& sees_LL) {
  const auto middle_1K = c_LK.narrow(-2, c_LK.size(-2) / 2, 1);
  const auto pairs_LL =
      torch::matmul(q_LK * (a_LK - middle_1K).exp(), (k_LK * (middle_1K - c_LK).exp()).transpose(-1, -2));
  return pairs_LL.masked_fill(sees_LL.logical_not(), 0);
}

// What chunks have in common: [B, N, C, L, x] of [B, N, T, x].
struct Chunks {
  int64_t T, L, C;
  torch::Tensor ids_B1CL;                 // undefined: one document
  torch::Tensor sees_LL, sees_before_LL;  // j ≤ i, j < i
  torch::Tensor of_before_L1, of_end_L1;  // 1 where a token is of the document of the chunk before, of its end
  torch::Tensor ends_BC;

  Chunks(int64_t tokens, int64_t length, const torch::Tensor& ids_BT, torch::Device device)
      : T(tokens), L(std::min(length, tokens)), C((T + L - 1) / L) {
    if (ids_BT.defined()) {
      const auto last = ids_BT.narrow(1, T - 1, 1).expand({-1, C * L - T});
      ids_B1CL = torch::cat({ids_BT, last}, 1).unflatten(1, {C, L}).unsqueeze(1);
      const auto end_B1C1 = ids_B1CL.narrow(3, L - 1, 1);
      const auto before_B1C1 = torch::constant_pad_nd(end_B1C1.narrow(2, 0, C - 1), {0, 0, 1, 0}, 0);
      of_before_L1 = (ids_B1CL == before_B1C1).unsqueeze(-1);
      of_end_L1 = (ids_B1CL == end_B1C1).unsqueeze(-1);
      ends_BC = end_B1C1.squeeze(3).squeeze(1);
    }
    sees_LL = causal_mask(L, ids_B1CL, device);
    sees_before_LL = causal_mask(L, ids_B1CL, device, true);
  }
  torch::Tensor of(const torch::Tensor& x_BNTx) const {
    return torch::constant_pad_nd(x_BNTx, {0, 0, 0, C * L - T}, 0).unflatten(2, {C, L});
  }
  torch::Tensor tokens(const torch::Tensor& x_BNCLx) const { return x_BNCLx.flatten(2, 3).narrow(2, 0, T); }
  // What can be read of the state before, and what of a token's is left at the end.
  torch::Tensor reading(const torch::Tensor& x) const { return of_before_L1.defined() ? x * of_before_L1 : x; }
  torch::Tensor lasting(const torch::Tensor& x) const { return of_end_L1.defined() ? x * of_end_L1 : x; }
};

torch::Tensor kept_state(const torch::Tensor& state, const torch::Tensor& ids_BT) {
  if (!state.defined() || !ids_BT.defined()) return state;
  return state.masked_fill((ids_BT.select(1, 0) > 0).view({-1, 1, 1, 1}), 0);
}

torch::Tensor outer_product(const torch::Tensor& k_BN1K, const torch::Tensor& v_BN1V) {
  return k_BN1K.transpose(2, 3) * v_BN1V;
}

WkvOut wkv6_step(const Wkv6& wkv) {
  const auto kv = outer_product(wkv.k_BNTK, wkv.v_BNTV);
  const auto bonus = wkv.u_NK.unsqueeze(-1) * kv;
  const auto before = kept_state(wkv.state_BNKV, wkv.ids_BT);
  const auto seen = before.defined() ? before + bonus : bonus;
  const auto state = before.defined() ? wkv.w_BNTK.transpose(2, 3).exp() * before + kv : kv;
  return {.o_BNTV = torch::matmul(wkv.r_BNTK, seen), .state_BNKV = state};
}

WkvOut wkv7_step(const Wkv7& wkv) {
  const auto kv = outer_product(wkv.k_BNTK, wkv.v_BNTV);
  const auto before = kept_state(wkv.state_BNKV, wkv.ids_BT);
  auto state = kv;
  if (before.defined()) {
    const auto u_BN1V = torch::matmul(wkv.a_BNTK, before);
    state = wkv.w_BNTK.transpose(2, 3).exp() * before + outer_product(wkv.b_BNTK, u_BN1V) + kv;
  }
  return {.o_BNTV = torch::matmul(wkv.r_BNTK, state), .state_BNKV = state};
}

}  // namespace

WkvOut wkv6(const Wkv6& wkv, int64_t length) {
  if (wkv.k_BNTK.size(2) == 1) return wkv6_step(wkv);
  const Chunks chunks(wkv.k_BNTK.size(2), length, wkv.ids_BT, wkv.k_BNTK.device());
  const auto r = chunks.of(wkv.r_BNTK), k = chunks.of(wkv.k_BNTK), v = chunks.of(wkv.v_BNTV),
             w = chunks.of(wkv.w_BNTK);
  const auto sums = w.cumsum(3), sums_before = sums - w;
  const auto total_BNCK = sums.select(3, chunks.L - 1);

  const auto written = chunks.lasting(k * (total_BNCK.unsqueeze(3) - sums).exp());
  const auto X_BNCKV = torch::matmul(written.transpose(3, 4), v);
  const auto carried =
      carry_states(X_BNCKV.transpose(2, 3), total_BNCK.transpose(2, 3), chunks.ends_BC, wkv.state_BNKV);
  const auto before_BNCKV = carried.before_BGYCZ.transpose(2, 3);

  const auto own = (r * k * wkv.u_NK.unsqueeze(1).unsqueeze(1)).sum(-1, true) * v;
  const auto pairs = decayed_pairs(r, k, sums_before, sums, chunks.sees_before_LL);
  const auto o =
      own + torch::matmul(pairs, v) + torch::matmul(chunks.reading(r * sums_before.exp()), before_BNCKV);
  return {.o_BNTV = chunks.tokens(o), .state_BNKV = carried.last_BGYZ};
}

WkvOut wkv7(const Wkv7& wkv, int64_t length) {
  if (wkv.k_BNTK.size(2) == 1) return wkv7_step(wkv);
  const Chunks chunks(wkv.k_BNTK.size(2), length, wkv.ids_BT, wkv.k_BNTK.device());
  const auto r = chunks.of(wkv.r_BNTK), w = chunks.of(wkv.w_BNTK), k = chunks.of(wkv.k_BNTK),
             v = chunks.of(wkv.v_BNTV), a = chunks.of(wkv.a_BNTK), b = chunks.of(wkv.b_BNTK);
  const int64_t L = chunks.L, K = k.size(4), V = v.size(4);
  const auto sums = w.cumsum(3), sums_before = sums - w;
  const auto total_BNC1K = sums.narrow(3, L - 1, 1);
  const auto& strictly = chunks.sees_before_LL;
  const auto pairs = wkv.mild ? mildly_decayed_pairs : decayed_pairs;
  const auto ab = pairs(a, b, sums_before, sums, strictly), ak = pairs(a, k, sums_before, sums, strictly),
             rb = pairs(r, b, sums, sums, chunks.sees_LL), rk = pairs(r, k, sums, sums, chunks.sees_LL);

  // U = W S_before + Y.
  const auto reading = chunks.reading(a * sums_before.exp());
  const auto solved = torch::linalg_solve_triangular(
      torch::eye(L, ab.options()) - ab, torch::cat({reading, torch::matmul(ak, v)}, 4), /*upper=*/false,
      /*left=*/true, /*unitriangular=*/true);
  const auto W = solved.narrow(4, 0, K), Y = solved.narrow(4, K, V);
  const auto lasting = (total_BNC1K - sums).exp();
  const auto b_end_KL = chunks.lasting(b * lasting).transpose(3, 4);
  const auto kv_BNCKV = torch::matmul(chunks.lasting(k * lasting).transpose(3, 4), v);
  auto decay_BNCK1 = total_BNC1K.exp().transpose(3, 4);
  if (chunks.of_before_L1.defined())
    decay_BNCK1 = decay_BNCK1 * chunks.of_before_L1.select(3, L - 1).unsqueeze(-1);

  auto state = wkv.state_BNKV.defined() ? wkv.state_BNKV : torch::zeros_like(kv_BNCKV.select(2, 0));
  std::vector<torch::Tensor> before, U;
  for (int64_t c = 0; c < chunks.C; ++c) {
    before.push_back(state);
    U.push_back(torch::matmul(W.select(2, c), state) + Y.select(2, c));
    state = decay_BNCK1.select(2, c) * state + torch::matmul(b_end_KL.select(2, c), U.back()) +
            kv_BNCKV.select(2, c);
  }
  const auto o = torch::matmul(chunks.reading(r * sums.exp()), torch::stack(before, 2)) +
                 torch::matmul(rb, torch::stack(U, 2)) + torch::matmul(rk, v);
  return {.o_BNTV = chunks.tokens(o), .state_BNKV = state};
}

Wkv4State Wkv4State::none(int64_t B, int64_t C, torch::TensorOptions options) {
  const auto zeros = torch::zeros({B, C}, options);
  return {.sum_BC = zeros, .weight_BC = zeros, .largest_BC = torch::full({B, C}, -1e38, options)};
}

Wkv4Out wkv4(const torch::Tensor& time_decay_C, const torch::Tensor& time_first_C, const torch::Tensor& k_BTC,
             const torch::Tensor& v_BTC, Wkv4State state, const Segments& segments) {
  const auto decay_C = time_decay_C.exp();
  const auto none = Wkv4State::none(k_BTC.size(0), k_BTC.size(2), k_BTC.options());
  const auto ids = segments.ids_BT;
  std::vector<torch::Tensor> outputs;
  for (int64_t t = 0; t < k_BTC.size(1); ++t) {
    const auto k = k_BTC.select(1, t), v = v_BTC.select(1, t);
    if (ids.defined()) {
      const auto begins_B1 =
          (t == 0 ? ids.narrow(1, 0, 1) > 0 : ids.narrow(1, t, 1) != ids.narrow(1, t - 1, 1));
      state = {.sum_BC = torch::where(begins_B1, none.sum_BC, state.sum_BC),
               .weight_BC = torch::where(begins_B1, none.weight_BC, state.weight_BC),
               .largest_BC = torch::where(begins_B1, none.largest_BC, state.largest_BC)};
    }
    const auto now = torch::maximum(state.largest_BC, time_first_C + k);
    const auto old = (state.largest_BC - now).exp(), own = (time_first_C + k - now).exp();
    outputs.push_back((old * state.sum_BC + own * v) / (old * state.weight_BC + own));
    const auto next = torch::maximum(state.largest_BC - decay_C, k);
    const auto kept = (state.largest_BC - decay_C - next).exp(), added = (k - next).exp();
    Wkv4State after{.sum_BC = kept * state.sum_BC + added * v,
                    .weight_BC = kept * state.weight_BC + added,
                    .largest_BC = next};
    if (segments.valid_BT.defined()) {
      const auto counts_B1 = segments.valid_BT.narrow(1, t, 1);
      after = {.sum_BC = torch::where(counts_B1, after.sum_BC, state.sum_BC),
               .weight_BC = torch::where(counts_B1, after.weight_BC, state.weight_BC),
               .largest_BC = torch::where(counts_B1, after.largest_BC, state.largest_BC)};
    }
    state = after;
  }
  return {.o_BTC = torch::stack(outputs, 1), .state = state};
}

}  // namespace attnlab
