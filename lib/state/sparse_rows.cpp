#include "state/sparse_rows.h"

namespace attnlab {

SparseRows SparseRows::of(const torch::Tensor& x_Lnw, const torch::Tensor& mask_Lnw) {
  const int64_t w = x_Lnw.size(2);
  const auto channels =
      torch::arange(w, torch::dtype(torch::kInt16).device(x_Lnw.device())).expand_as(mask_Lnw);
  return {mask_Lnw.sum(2).to(torch::kInt16), x_Lnw.masked_select(mask_Lnw), channels.masked_select(mask_Lnw)};
}

torch::Tensor SparseRows::put_into(const torch::Tensor& x_Lnw) const {
  if (values_m.numel() == 0) return x_Lnw;
  const auto rows_m = torch::repeat_interleave(counts_Ln.flatten().to(torch::kInt64));
  auto out = x_Lnw.flatten(0, 1).clone();
  out.index_put_({rows_m, channels_m.to(torch::kInt64)}, values_m.to(out.scalar_type()));
  return out.view(x_Lnw.sizes());
}

torch::Tensor SparseRows::ids(int64_t first) const {
  const auto options = torch::dtype(torch::kInt64).device(counts_Ln.device());
  return torch::arange(first, first + counts_Ln.numel(), options).view(counts_Ln.sizes());
}

SparseRows SparseRows::chosen(const torch::Tensor& ids, const torch::Tensor& counts) const {
  const auto held = counts_Ln.flatten().to(torch::kInt64), wanted = counts.flatten().to(torch::kInt64);
  if (wanted.numel() == 0 || held.numel() == 0)
    return {counts, values_m.narrow(0, 0, 0), channels_m.narrow(0, 0, 0)};
  const auto starts = (held.cumsum(0) - held).index_select(0, ids.flatten());
  // Each number's place: its row's start, and how far it is behind the first of its row.
  const auto shift = starts - (wanted.cumsum(0) - wanted);
  const auto shifts = torch::repeat_interleave(shift, wanted);
  const auto places = shifts + torch::arange(shifts.numel(), shifts.options());
  return {counts, values_m.index_select(0, places), channels_m.index_select(0, places)};
}

SparseRows SparseRows::chained(const SparseRows& a, const SparseRows& b) {
  return {torch::cat({a.counts_Ln.flatten(), b.counts_Ln.flatten()}), torch::cat({a.values_m, b.values_m}),
          torch::cat({a.channels_m, b.channels_m})};
}

}  // namespace attnlab
