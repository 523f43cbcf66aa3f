#include "attention/selective_scan.h"

#include <algorithm>
#include <vector>

#include "kernels/scan.h"

namespace attnlab {
namespace {

// [B, N, T, x] → [B, N, C, L, x], zeros behind the last token.
torch::Tensor in_chunks(const torch::Tensor& x_BNTx, int64_t C, int64_t L) {
  return padded_behind(x_BNTx, 2, C * L - x_BNTx.size(2)).unflatten(2, {C, L});
}

// Σ_s h_ps c_s.
torch::Tensor read(const torch::Tensor& h_BNCPS, const torch::Tensor& c_BNCS) {
  return torch::matmul(h_BNCPS, c_BNCS.unsqueeze(-1)).squeeze(-1);
}

ScanParts parts_for_kernel(const SelectiveScan& scan) {
  const int64_t T = scan.step_BNTP.size(2), parts = parts_for_scan(scan.step_BNTP.size(0), scan.A_NPS, T);
  return {.parts = parts,
          .length = (T + parts - 1) / parts,
          .x_BGTP = scan.x_BGTP,
          .step_BNTP = scan.step_BNTP,
          .raw_step = scan.raw_step,
          .A_NPS = scan.A_NPS,
          .B_BGTS = scan.B_BGTS,
          .C_BNTS = scan.C_BNTS,
          .D_NP = scan.D_NP,
          .begins_BT = {},
          .first_BNpPS = {},
          .wants_y = true};
}

// With a kernel: from states 0 to each part's end, these carried on, and all parts at once from what they begin
// with.
SelectiveScanned scan_with_kernel(const SelectiveScan& scan, ScanParts of) {
  const int64_t T = scan.step_BNTP.size(2), parts = of.parts, L = of.length;
  if (scan.ids_BT.defined()) of.begins_BT = beginnings(scan.ids_BT);
  if (parts == 1) {
    if (scan.state_BNPS.defined()) of.first_BNpPS = scan.state_BNPS.unsqueeze(2);
    const auto out = scan_parts(of);
    return {.y_BNTP = out.y_BNTP, .state_BNPS = out.last_BNpPS.squeeze(2)};
  }
  of.wants_y = false;
  const auto ends = scan_parts(of);
  torch::Tensor ids_Bp;
  if (scan.ids_BT.defined())
    ids_Bp = torch::cat({scan.ids_BT.slice(1, L - 1, T - 1, L), scan.ids_BT.narrow(1, T - 1, 1)}, 1);
  const auto step_BNTP = scan.raw_step ? torch::softplus(scan.step_BNTP) : scan.step_BNTP;
  const auto total_BNpP1 =
      padded_behind(step_BNTP, 2, parts * L - T).unflatten(2, {parts, L}).sum(3).unsqueeze(-1);
  const auto by_number = [](const torch::Tensor& x_BNpPS) { return x_BNpPS.flatten(3).transpose(2, 3); };
  const auto carried = carry_states(
      by_number(ends.last_BNpPS).unsqueeze(-1), by_number(total_BNpP1 * scan.A_NPS.unsqueeze(1)), ids_Bp,
      scan.state_BNPS.defined() ? scan.state_BNPS.flatten(2).unsqueeze(-1) : torch::Tensor());
  const auto sizes = scan.A_NPS.sizes().slice(1);
  of.first_BNpPS = carried.before_BGYCZ.squeeze(-1).transpose(2, 3).unflatten(3, sizes);
  of.wants_y = true;
  return {.y_BNTP = scan_parts(of).y_BNTP, .state_BNPS = carried.last_BGYZ.squeeze(-1).unflatten(2, sizes)};
}

// The same with x and B of each head, all in full precision, and Δ itself.
SelectiveScan of_each_head(SelectiveScan scan) {
  const int64_t N = scan.A_NPS.size(0);
  if (scan.raw_step) scan.step_BNTP = torch::softplus(scan.step_BNTP);
  scan.raw_step = false;
  for (auto* x : {&scan.x_BGTP, &scan.B_BGTS, &scan.C_BNTS}) {
    *x = in_full(*x);
    if (x->size(1) != N) *x = x->repeat_interleave(N / x->size(1), 1);
  }
  return scan;
}

}  // namespace

void set_step(SelectiveScan& scan, const torch::Tensor& raw_BNTP, const Segments& segments) {
  scan.raw_step = !segments.valid_BT.defined();
  scan.step_BNTP = scan.raw_step ? raw_BNTP : segments.only_valid(torch::softplus(raw_BNTP), 2);
}

SelectiveScanned selective_scan(const SelectiveScan& given, int64_t length) {
  if (const auto of = parts_for_kernel(given); fits_scan(of)) return scan_with_kernel(given, of);
  const auto scan = of_each_head(given);
  const int64_t T = scan.x_BGTP.size(2), L = std::min(length, T), C = (T + L - 1) / L;
  const auto x = in_chunks(scan.x_BGTP, C, L), step = in_chunks(scan.step_BNTP, C, L),
             B = in_chunks(scan.B_BGTS, C, L), C_ = in_chunks(scan.C_BNTS, C, L);
  const auto A_N1PS = scan.A_NPS.unsqueeze(1);
  const auto sums_BNCLP = step.cumsum(3);
  torch::Tensor ids_BCL, before_BC;  // document numbers, and those in front of each chunk
  if (scan.ids_BT.defined()) {
    const auto last = scan.ids_BT.narrow(1, T - 1, 1).expand({-1, C * L - T});
    ids_BCL = torch::cat({scan.ids_BT, last}, 1).unflatten(1, {C, L});
    before_BC = torch::constant_pad_nd(ids_BCL.select(2, L - 1).narrow(1, 0, C - 1), {1, 0}, 0);
  }
  const auto where_same = [](const torch::Tensor& h_BNCPS, const torch::Tensor& same_BC) {
    return h_BNCPS * same_BC.view({same_BC.size(0), 1, same_BC.size(1), 1, 1});
  };

  torch::Tensor h_BNCPS;
  std::vector<torch::Tensor> outputs;
  for (int64_t l = 0; l < L; ++l) {
    const auto step_BNCP1 = step.select(3, l).unsqueeze(-1);
    const auto written = step_BNCP1 * x.select(3, l).unsqueeze(-1) * B.select(3, l).unsqueeze(-2);
    if (l == 0) {
      h_BNCPS = written;
    } else {
      if (ids_BCL.defined()) h_BNCPS = where_same(h_BNCPS, ids_BCL.select(2, l) == ids_BCL.select(2, l - 1));
      h_BNCPS = (step_BNCP1 * A_N1PS).exp() * h_BNCPS + written;
    }
    outputs.push_back(read(h_BNCPS, C_.select(3, l)));
  }
  auto y_BNCLP = torch::stack(outputs, 3);

  // States of chunks as P·S numbers that decay apart.
  const auto total_BNCPS = sums_BNCLP.select(3, L - 1).unsqueeze(-1) * A_N1PS;
  const auto by_number = [](const torch::Tensor& x_BNCPS) { return x_BNCPS.flatten(3).transpose(2, 3); };
  const auto carried =
      carry_states(by_number(h_BNCPS).unsqueeze(-1), by_number(total_BNCPS),
                   ids_BCL.defined() ? ids_BCL.select(2, L - 1) : torch::Tensor(),
                   scan.state_BNPS.defined() ? scan.state_BNPS.flatten(2).unsqueeze(-1) : torch::Tensor());
  const auto sizes = std::vector<int64_t>{scan.A_NPS.size(1), scan.A_NPS.size(2)};
  if (C > 1 || scan.state_BNPS.defined()) {
    const auto before_BNCPS = carried.before_BGYCZ.squeeze(-1).transpose(2, 3).unflatten(3, sizes);
    std::vector<torch::Tensor> added;
    for (int64_t l = 0; l < L; ++l) {
      auto seen = (sums_BNCLP.select(3, l).unsqueeze(-1) * A_N1PS).exp() * before_BNCPS;
      if (ids_BCL.defined()) seen = where_same(seen, ids_BCL.select(2, l) == before_BC);
      added.push_back(read(seen, C_.select(3, l)));
    }
    y_BNCLP = y_BNCLP + torch::stack(added, 3);
  }
  auto y_BNTP = y_BNCLP.flatten(2, 3).narrow(2, 0, T);
  if (scan.D_NP.defined()) y_BNTP = y_BNTP + scan.D_NP.unsqueeze(1) * scan.x_BGTP;
  return {.y_BNTP = y_BNTP, .state_BNPS = carried.last_BGYZ.squeeze(-1).unflatten(2, sizes)};
}

}  // namespace attnlab
