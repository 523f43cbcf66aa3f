#include "attention/gated_scan.h"

#include <algorithm>

namespace attnlab {
namespace {

Scanned scan_step(const GatedScan& scan) {
  const auto write_BGFP = scan.k_BGTF.transpose(2, 3) * scan.v_BGTP;
  auto state = scan.state_BGFP;
  if (state.defined() && scan.log_decay_BGT.defined()) state = scan.log_decay_BGT.exp().unsqueeze(-1) * state;
  if (state.defined() && scan.ids_BT.defined())
    state = state.masked_fill((scan.ids_BT > 0).view({-1, 1, 1, 1}), 0);
  state = state.defined() ? state + write_BGFP : write_BGFP;
  return {.o_BGMTP = torch::matmul(scan.q_BGMTF, state.unsqueeze(2)), .state_BGFP = state};
}

// [.., T, x] → [.., C, L, x], zeros behind the last token.
torch::Tensor chunked(const torch::Tensor& x_Tx, int64_t C, int64_t L) {
  const int64_t dim = x_Tx.dim() - 2;
  return padded_behind(x_Tx, dim, C * L - x_Tx.size(dim)).unflatten(dim, {C, L});
}

// Document numbers of a chunk's tokens [B, 1, C, L], those behind the last token as the last has it, and of the
// token before each chunk [B, 1, C, 1].
struct ChunkIds {
  torch::Tensor own_B1CL, before_B1C1;
};
ChunkIds chunk_ids(const torch::Tensor& ids_BT, int64_t C, int64_t L) {
  if (!ids_BT.defined()) return {};
  const int64_t T = ids_BT.size(1), missing = C * L - T;
  const auto all =
      missing > 0 ? torch::cat({ids_BT, ids_BT.narrow(1, T - 1, 1).expand({-1, missing})}, 1) : ids_BT;
  const auto own_BCL = all.unflatten(1, {C, L});
  const auto ends_BC = own_BCL.select(2, L - 1);
  return {
      .own_B1CL = own_BCL.unsqueeze(1),
      .before_B1C1 = torch::constant_pad_nd(ends_BC.narrow(1, 0, C - 1), {1, 0}, 0).unsqueeze(1).unsqueeze(-1)};
}

}  // namespace

Scanned gated_scan(const GatedScan& scan, int64_t L) {
  const int64_t T = scan.k_BGTF.size(2);
  if (T == 1) return scan_step(scan);
  L = std::min(L, T);
  const int64_t M = scan.q_BGMTF.size(2), C = (T + L - 1) / L, P = scan.v_BGTP.size(3);
  // The M query heads of a state stand below each other: [B, G, C, M·L, F].
  const auto q_rows = chunked(scan.q_BGMTF, C, L).transpose(2, 3).flatten(3, 4);
  const auto k_BGCLF = chunked(scan.k_BGTF, C, L).contiguous(),
             v_BGCLP = chunked(scan.v_BGTP, C, L).contiguous();
  const ChunkIds ids = chunk_ids(scan.ids_BT, C, L);

  auto sees = causal_mask(L, ids.own_B1CL, k_BGCLF.device()).to(k_BGCLF.dtype());
  torch::Tensor sums_BGCL, reads_BGCL, writes_BGCL, total_BGC;
  if (scan.log_decay_BGT.defined()) {
    const auto g_BGCL = chunked(scan.log_decay_BGT.unsqueeze(-1), C, L).squeeze(-1);
    sums_BGCL = g_BGCL.cumsum(-1);
    total_BGC = sums_BGCL.select(-1, L - 1);
    sees = ids.own_B1CL.defined() ? decay_matrix(g_BGCL) * sees : decay_matrix(g_BGCL);
    reads_BGCL = sums_BGCL.exp();
    writes_BGCL = (total_BGC.unsqueeze(-1) - sums_BGCL).exp();
  }
  if (ids.own_B1CL.defined()) {
    const auto of_before = (ids.own_B1CL == ids.before_B1C1).to(k_BGCLF.dtype());
    const auto of_end = (ids.own_B1CL == ids.own_B1CL.narrow(-1, L - 1, 1)).to(k_BGCLF.dtype());
    reads_BGCL = reads_BGCL.defined() ? reads_BGCL * of_before : of_before;
    writes_BGCL = writes_BGCL.defined() ? writes_BGCL * of_end : of_end;
  }
  const auto written = writes_BGCL.defined() ? k_BGCLF * writes_BGCL.unsqueeze(-1) : k_BGCLF;
  const auto X_BG1CZ = torch::matmul(written.transpose(3, 4), v_BGCLP).flatten(3).unsqueeze(2);
  const auto before_BG1Z =
      scan.state_BGFP.defined() ? scan.state_BGFP.flatten(2).unsqueeze(2) : torch::Tensor();
  const auto carried = carry_states(
      X_BG1CZ, total_BGC.defined() ? total_BGC.unsqueeze(2) : total_BGC,
      ids.own_B1CL.defined() ? ids.own_B1CL.select(-1, L - 1).squeeze(1) : ids.own_B1CL, before_BG1Z);
  const auto before_BGCFP = carried.before_BGYCZ.squeeze(2).unflatten(3, {-1, P});

  const auto by_head = [&](const torch::Tensor& x_rows) { return x_rows.unflatten(3, {M, L}); };
  const auto scores = by_head(torch::matmul(q_rows, k_BGCLF.transpose(3, 4))) * sees.unsqueeze(-3);
  auto from_before = by_head(torch::matmul(q_rows, before_BGCFP));
  if (reads_BGCL.defined()) from_before = from_before * reads_BGCL.unsqueeze(-1).unsqueeze(-3);
  const auto o = by_head(torch::matmul(scores.flatten(3, 4), v_BGCLP)) + from_before;
  const auto o_BGMTP = o.transpose(2, 3).flatten(3, 4).narrow(3, 0, T);
  return {.o_BGMTP = o_BGMTP, .state_BGFP = carried.last_BGYZ.squeeze(2).unflatten(2, {-1, P})};
}

double scan_flops(int64_t F, int64_t P, int64_t T, int64_t L) {
  const auto f = static_cast<double>(F), p = static_cast<double>(P);
  const double seen = (static_cast<double>(std::min(L, T)) + 1) / 2;
  return 2 * (f + p) * seen + 4 * f * p;
}

Scanned normalised_scan(GatedScan scan, double eps, int64_t L) {
  const int64_t P = scan.v_BGTP.size(3);
  scan.v_BGTP = torch::cat({scan.v_BGTP, torch::ones_like(scan.v_BGTP.narrow(3, 0, 1))}, 3);
  Scanned out = gated_scan(scan, L);
  const auto sum = out.o_BGMTP.narrow(4, 0, P), weight = out.o_BGMTP.narrow(4, P, 1);
  out.o_BGMTP = sum / (weight + eps);
  return out;
}

}  // namespace attnlab
