#include "attention/wkv.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "attention/wkv_parts.h"

namespace attnlab {
namespace {

// Numbers [.., L, K] of each half of each block of 2h tokens: [.., L / 2h, h, K].
torch::Tensor half_of_blocks(const torch::Tensor& x_LK, int64_t h, int64_t half) {
  return x_LK.unflatten(-2, {-1, 2, h}).select(-3, half);
}

// Σ_k q_ik k_jk exp(a_ik - c_jk) for j < i, `diagonal` [.., L] for j = i, else 0: [.., L, L], L a power of 2. a
// and c are sums of log decays, c_j of those up to j, a_i of those up to i or i - 1. Blocks of 1, 2, 4 … tokens
// are joined in twos: from the first half to the second decay is taken apart between them, exp(a_i - m) · exp(m
// - c_j), both at most 1 however strong decays are, so that pairs are a product.
torch::Tensor decayed_pairs(const torch::Tensor& q_LK, const torch::Tensor& k_LK, const torch::Tensor& a_LK,
                            const torch::Tensor& c_LK, const torch::Tensor& diagonal_L) {
  auto pairs = diagonal_L.unsqueeze(-1).unsqueeze(-1);  // [.., blocks, h, h]
  for (int64_t h = 1; h < q_LK.size(-2); h *= 2) {
    const auto c_first = half_of_blocks(c_LK, h, 0), middle = c_first.narrow(-2, h - 1, 1);
    const auto q = half_of_blocks(q_LK, h, 1) * (half_of_blocks(a_LK, h, 1) - middle).exp();
    const auto k = half_of_blocks(k_LK, h, 0) * (middle - c_first).exp();
    const auto across = torch::matmul(q, k.transpose(-1, -2));
    const auto blocks = pairs.unflatten(-3, {-1, 2});
    const auto above = torch::cat({blocks.select(-3, 0), torch::zeros_like(across)}, -1);
    pairs = torch::cat({above, torch::cat({across, blocks.select(-3, 1)}, -1)}, -2);
  }
  return pairs.squeeze(-3);
}

// The least that is not below n.
int64_t power_of_two(int64_t n) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))); }

// What chunks have in common: [B, N, C, L, x] of [B, N, T, x].
struct Chunks {
  int64_t T, L, C;
  torch::Tensor ids_B1CL;                 // undefined: one document
  torch::Tensor sees_LL, sees_before_LL;  // j ≤ i, j < i
  torch::Tensor of_before_L1, of_end_L1;  // 1 where a token is of the document of the chunk before, of its end
  torch::Tensor ends_BC;

  Chunks(int64_t tokens, int64_t length, const torch::Tensor& ids_BT, torch::Device device)
      : T(tokens), L(power_of_two(std::min(length, tokens))), C((T + L - 1) / L) {
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
    return padded_behind(x_BNTx, 2, C * L - T).unflatten(2, {C, L});
  }
  torch::Tensor tokens(const torch::Tensor& x_BNCLx) const { return x_BNCLx.flatten(2, 3).narrow(2, 0, T); }
  // Pairs of one document.
  torch::Tensor within(const torch::Tensor& pairs_LL) const {
    return ids_B1CL.defined() ? pairs_LL * (ids_B1CL.unsqueeze(-1) == ids_B1CL.unsqueeze(-2)) : pairs_LL;
  }
  // What can be read of the state before, and what of a token's is left at the end.
  torch::Tensor reading(const torch::Tensor& x) const { return of_before_L1.defined() ? x * of_before_L1 : x; }
  torch::Tensor lasting(const torch::Tensor& x) const { return of_end_L1.defined() ? x * of_end_L1 : x; }
  // What passes a whole chunk, where no document begins in it.
  torch::Tensor lasting_through(const torch::Tensor& x_BNCK) const {
    return of_before_L1.defined() ? x_BNCK * of_before_L1.select(3, L - 1) : x_BNCK;
  }
};

// What RWKV-7's chunks are computed from: products of pairs [L, L], i ≥ j (ab and ak: i > j), what a token
// reads of the state before its chunk and leaves at its end [L, K], and what is left of the state itself.
struct Wkv7Chunks {
  torch::Tensor ab, ak, rb, rk, a_reads, r_reads, b_leaves, k_leaves, decay_BNCK;
};

Wkv7Chunks wkv7_chunks(const Wkv7& wkv, const Chunks& chunks) {
  const auto r = chunks.of(wkv.r_BNTK), w = chunks.of(wkv.w_BNTK), k = chunks.of(wkv.k_BNTK),
             a = chunks.of(wkv.a_BNTK), b = chunks.of(wkv.b_BNTK);
  const auto sums = w.cumsum(3), sums_before = sums - w, total_1K = sums.narrow(3, chunks.L - 1, 1);
  const auto pairs = [&](const torch::Tensor& q, const torch::Tensor& key, const torch::Tensor& up_to,
                         const torch::Tensor& diagonal_L) {
    return chunks.within(decayed_pairs(q, key, up_to, sums, diagonal_L));
  };
  const auto none_L = torch::zeros_like(a.select(4, 0)), lasting = (total_1K - sums).exp();
  return {.ab = pairs(a, b, sums_before, none_L),
          .ak = pairs(a, k, sums_before, none_L),
          .rb = pairs(r, b, sums, (r * b).sum(4)),
          .rk = pairs(r, k, sums, (r * k).sum(4)),
          .a_reads = chunks.reading(a * sums_before.exp()),
          .r_reads = chunks.reading(r * sums.exp()),
          .b_leaves = chunks.lasting(b * lasting),
          .k_leaves = chunks.lasting(k * lasting),
          .decay_BNCK = total_1K.exp().squeeze(3)};
}

// The same where no decay of a token is stronger than e^-1: a e^{sums - m} · b e^{m - sums} with m that of the
// chunk's middle, so that neither factor leaves e^±L/2 and all pairs of a chunk are one product.
constexpr int64_t kMildLength = 64;  // e^64, what pairs that nobody sees may reach, is a float32

Wkv7Chunks mild_chunks(const Wkv7& wkv, const Chunks& chunks) {
  const int64_t L = chunks.L;
  const auto w = chunks.of(wkv.w_BNTK), sums = w.cumsum(3), middle_1K = sums.narrow(3, L / 2, 1);
  const auto apart = sums - middle_1K, total_1K = apart.narrow(3, L - 1, 1);
  const auto left = (-apart).exp();
  const auto a = chunks.of(wkv.a_BNTK) * (apart - w).exp(), r = chunks.of(wkv.r_BNTK) * apart.exp(),
             b = chunks.of(wkv.b_BNTK) * left, k = chunks.of(wkv.k_BNTK) * left;
  const auto pairs = torch::matmul(torch::cat({a, r}, 3), torch::cat({b, k}, 3).transpose(3, 4));
  const auto part = [&](int64_t row, int64_t column, const torch::Tensor& sees_LL) {
    return pairs.narrow(3, row * L, L).narrow(4, column * L, L).masked_fill(sees_LL.logical_not(), 0);
  };
  const auto entering = middle_1K.exp(), leaving = total_1K.exp();
  return {.ab = part(0, 0, chunks.sees_before_LL),
          .ak = part(0, 1, chunks.sees_before_LL),
          .rb = part(1, 0, chunks.sees_LL),
          .rk = part(1, 1, chunks.sees_LL),
          .a_reads = chunks.reading(a * entering),
          .r_reads = chunks.reading(r * entering),
          .b_leaves = chunks.lasting(b * leaving),
          .k_leaves = chunks.lasting(k * leaving),
          .decay_BNCK = (total_1K + middle_1K).exp().squeeze(3)};
}

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

// With each head's numbers side by side.
torch::Tensor heads_in_full(const torch::Tensor& x_BNTx) { return in_full(x_BNTx).contiguous(); }

Wkv6 all_in_full(Wkv6 wkv) {
  for (auto* x : {&wkv.r_BNTK, &wkv.k_BNTK, &wkv.v_BNTV, &wkv.w_BNTK}) *x = heads_in_full(*x);
  return wkv;
}

Wkv7 all_in_full(Wkv7 wkv) {
  for (auto* x : {&wkv.r_BNTK, &wkv.w_BNTK, &wkv.k_BNTK, &wkv.v_BNTV, &wkv.a_BNTK, &wkv.b_BNTK})
    *x = heads_in_full(*x);
  return wkv;
}

template <class Wkv>
WkvOut with_kernel(const Wkv& wkv) {
  const WkvScan scan = scan_of(wkv);
  return wkv_in_parts(scan, wkv.ids_BT, wkv.state_BNKV, wkv_parts(scan));
}

}  // namespace

WkvOut wkv6(const Wkv6& given, int64_t length) {
  if (given.k_BNTK.size(2) > 1 && fits_wkv_scan(scan_of(given))) return with_kernel(given);
  const Wkv6 wkv = all_in_full(given);
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

  const auto own_BNCL = (r * k * wkv.u_NK.unsqueeze(1).unsqueeze(1)).sum(-1);
  const auto pairs = chunks.within(decayed_pairs(r, k, sums_before, sums, own_BNCL));
  const auto o = torch::matmul(pairs, v) + torch::matmul(chunks.reading(r * sums_before.exp()), before_BNCKV);
  return {.o_BNTV = chunks.tokens(o), .state_BNKV = carried.last_BGYZ};
}

WkvOut wkv7(const Wkv7& given, int64_t length) {
  if (given.k_BNTK.size(2) > 1 && fits_wkv_scan(scan_of(given))) return with_kernel(given);
  const Wkv7 wkv = all_in_full(given);
  if (wkv.k_BNTK.size(2) == 1) return wkv7_step(wkv);
  const Chunks chunks(wkv.k_BNTK.size(2), wkv.mild ? std::min(length, kMildLength) : length, wkv.ids_BT,
                      wkv.k_BNTK.device());
  const auto v = chunks.of(wkv.v_BNTV);
  const int64_t K = wkv.k_BNTK.size(3), V = v.size(4);
  const Wkv7Chunks of = wkv.mild ? mild_chunks(wkv, chunks) : wkv7_chunks(wkv, chunks);

  // U = W S_before + Y.
  const auto solved_LKV = torch::linalg_solve_triangular(
      torch::eye(chunks.L, of.ab.options()) - of.ab, torch::cat({of.a_reads, torch::matmul(of.ak, v)}, 4),
      /*upper=*/false, /*left=*/true, /*unitriangular=*/true);
  // S_after = diag(decay) S_before + bᵀ U + kᵀ V.
  const auto from_U = torch::matmul(of.b_leaves.transpose(3, 4), solved_LKV).split_with_sizes({K, V}, 4);
  const auto M = from_U[0] + torch::diag_embed(chunks.lasting_through(of.decay_BNCK));
  const auto X = from_U[1] + torch::matmul(of.k_leaves.transpose(3, 4), v);
  const auto carried =
      carry_maps(M, X, wkv.state_BNKV.defined() ? wkv.state_BNKV : torch::zeros_like(X.select(2, 0)));
  const auto W = solved_LKV.narrow(4, 0, K), Y = solved_LKV.narrow(4, K, V);
  const auto U = torch::matmul(W, carried.before_BNCKV) + Y;
  const auto o =
      torch::matmul(of.r_reads, carried.before_BNCKV) + torch::matmul(of.rb, U) + torch::matmul(of.rk, v);
  return {.o_BNTV = chunks.tokens(o), .state_BNKV = carried.last_BNKV};
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
