#include "attention/wkv_parts.h"

#include <algorithm>

namespace attnlab {
namespace {

// [B, N, T, x] → [B, N, p, length, x], zeros behind the last token.
torch::Tensor in_parts(const torch::Tensor& x_BNTx, const WkvScan& scan) {
  return padded_behind(x_BNTx, 2, scan.parts * scan.length - x_BNTx.size(2))
      .unflatten(2, {scan.parts, scan.length});
}

// The document numbers at each part's end.
torch::Tensor ids_at_ends(const torch::Tensor& ids_BT, const WkvScan& scan) {
  if (!ids_BT.defined()) return {};
  const int64_t T = ids_BT.size(1), missing = scan.parts * scan.length - T;
  const auto all = torch::cat({ids_BT, ids_BT.narrow(1, T - 1, 1).expand({-1, missing})}, 1);
  return all.unflatten(1, {scan.parts, scan.length}).select(2, scan.length - 1);
}

// States behind parts that begin with none: [B, N, p, K, V].
torch::Tensor of_nothing(WkvScan scan, const WkvKernel& kernel) {
  scan.r_BNTK = torch::Tensor();
  scan.wants_o = false;
  return kernel(scan).last_BNpKV;
}

// What parts make of the state that they begin with: [B, N, p, K, K].
torch::Tensor maps_of(WkvScan scan, const WkvKernel& kernel) {
  const int64_t K = scan.w_BNTK.size(3);
  scan.first_BNpKV =
      torch::eye(K, scan.w_BNTK.options()).expand({scan.w_BNTK.size(0), scan.w_BNTK.size(1), scan.parts, K, K});
  scan.k_BNTK = scan.v_BNTV = torch::Tensor();
  return of_nothing(scan, kernel);
}

struct Carried {
  torch::Tensor before_BNpKV, last_BNKV;
};
Carried carried(const WkvScan& scan, const torch::Tensor& ids_BT, const torch::Tensor& state_BNKV,
                const WkvKernel& kernel) {
  const auto X = of_nothing(scan, kernel);
  if (scan.a_BNTK.defined()) {
    const auto before = state_BNKV.defined() ? state_BNKV : torch::zeros_like(X.select(2, 0));
    const auto out = carry_maps(maps_of(scan, kernel), X, before);
    return {out.before_BNCKV, out.last_BNKV};
  }
  const auto total_BNpK = in_parts(scan.w_BNTK, scan).sum(3);
  const auto out =
      carry_states(X.transpose(2, 3), total_BNpK.transpose(2, 3), ids_at_ends(ids_BT, scan), state_BNKV);
  return {out.before_BGYCZ.transpose(2, 3), out.last_BGYZ};
}

}  // namespace

WkvScan scan_of(const Wkv6& wkv) {
  return {.r_BNTK = wkv.r_BNTK,
          .w_BNTK = wkv.w_BNTK,
          .k_BNTK = wkv.k_BNTK,
          .v_BNTV = wkv.v_BNTV,
          .a_BNTK = {},
          .b_BNTK = {},
          .bonus_NK = wkv.u_NK,
          .begins_BT = {},
          .first_BNpKV = {}};
}

WkvScan scan_of(const Wkv7& wkv) {
  return {.r_BNTK = wkv.r_BNTK,
          .w_BNTK = wkv.w_BNTK,
          .k_BNTK = wkv.k_BNTK,
          .v_BNTV = wkv.v_BNTV,
          .a_BNTK = wkv.a_BNTK,
          .b_BNTK = wkv.b_BNTK,
          .bonus_NK = {},
          .begins_BT = {},
          .first_BNpKV = {}};
}

int64_t wkv_parts(const WkvScan& scan) {
  constexpr int64_t kHeads = 128, kLeast = 512;  // heads that fill a GPU, tokens of a part at least
  const int64_t heads = scan.w_BNTK.size(0) * scan.w_BNTK.size(1), T = scan.w_BNTK.size(2);
  return std::max<int64_t>(1, std::min(kHeads / heads, T / kLeast));
}

WkvOut wkv_in_parts(WkvScan scan, const torch::Tensor& ids_BT, const torch::Tensor& state_BNKV, int64_t parts,
                    const WkvKernel& kernel) {
  const int64_t T = scan.w_BNTK.size(2);
  scan.length = (T + parts - 1) / parts;
  scan.parts = (T + scan.length - 1) / scan.length;
  if (ids_BT.defined()) scan.begins_BT = beginnings(ids_BT);
  if (scan.parts == 1) {
    if (state_BNKV.defined()) scan.first_BNpKV = state_BNKV.unsqueeze(2);
    const auto out = kernel(scan);
    return {.o_BNTV = out.o_BNTV, .state_BNKV = out.last_BNpKV.squeeze(2)};
  }
  const auto states = carried(scan, ids_BT, state_BNKV, kernel);
  scan.first_BNpKV = states.before_BNpKV;
  return {.o_BNTV = kernel(scan).o_BNTV, .state_BNKV = states.last_BNKV};
}

}  // namespace attnlab
