#include "state/lanes.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

torch::Tensor steps(int64_t count, torch::Device device) {
  return torch::arange(count, torch::dtype(torch::kInt64).device(device));
}

Counts difference(const Counts& a, const Counts& b) {
  Counts out(a);
  for (size_t i = 0; i < out.size(); ++i) out[i] -= b[i];
  return out;
}

torch::Tensor lengthened(const torch::Tensor& x, int64_t rows) {
  if (x.size(1) >= rows) return x;
  auto shape = x.sizes().vec();
  shape[1] = rows - x.size(1);
  return torch::cat({x, torch::zeros(shape, x.options())}, 1);
}

}  // namespace

int64_t most(const Counts& counts) {
  return counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
}

bool alike(const Counts& counts) {
  return std::all_of(counts.begin(), counts.end(), [&](int64_t count) { return count == counts.front(); });
}

Counts selected(const Counts& counts, const torch::Tensor& lanes_L) {
  const auto host = lanes_L.cpu().contiguous();
  Counts chosen;
  for (int64_t i = 0; i < host.numel(); ++i)
    chosen.push_back(counts.at(static_cast<size_t>(host.const_data_ptr<int64_t>()[i])));
  return chosen;
}

torch::Tensor counts_tensor(const Counts& counts, torch::Device device) {
  return torch::tensor(counts).unsqueeze(1).to(device);
}

torch::Tensor take_rows(const torch::Tensor& x, const torch::Tensor& index_Lm) {
  const int64_t L = index_Lm.size(0), m = index_Lm.size(1);
  auto shape = x.sizes().vec();
  shape[1] = m;
  if (m == 0) return torch::empty(shape, x.options());
  std::vector<int64_t> one(static_cast<size_t>(x.dim()), 1);
  one[0] = L, one[1] = m;
  return x.gather(1, index_Lm.view(one).expand(shape));
}

torch::Tensor without_first(const torch::Tensor& x, const Counts& counts, const Counts& gone) {
  const Counts left = difference(counts, gone);
  if (alike(gone)) return x.narrow(1, gone.front(), most(left));
  const auto index = (counts_tensor(gone, x.device()) + steps(most(left), x.device())).clamp_max(x.size(1) - 1);
  return take_rows(x, index);
}

torch::Tensor with_more(const torch::Tensor& x, const Counts& counts, const torch::Tensor& more,
                        const Counts& more_counts) {
  if (!x.defined() || x.size(1) == 0) return more.narrow(1, 0, most(more_counts));
  if (alike(counts) && alike(more_counts))
    return torch::cat({x.narrow(1, 0, counts.front()), more.narrow(1, 0, more_counts.front())}, 1);
  Counts all(counts);
  for (size_t i = 0; i < all.size(); ++i) all[i] += more_counts[i];
  const auto held_L1 = counts_tensor(counts, x.device()), at_m = steps(most(all), x.device());
  const auto both = torch::cat({x, more}, 1);
  const auto index = torch::where(at_m < held_L1, at_m, at_m - held_L1 + x.size(1)).clamp_max(both.size(1) - 1);
  return take_rows(both, index);
}

void write_rows(const torch::Tensor& x, const Counts& counts, const torch::Tensor& more) {
  const int64_t m = more.size(1);
  if (alike(counts)) {
    x.narrow(1, counts.front(), m).copy_(more);
    return;
  }
  const auto index_Lm = counts_tensor(counts, x.device()) + steps(m, x.device());
  std::vector<int64_t> one(static_cast<size_t>(x.dim()), 1);
  one[0] = index_Lm.size(0), one[1] = m;
  x.scatter_(1, index_Lm.view(one).expand_as(more), more);
}

torch::Tensor stacked(const torch::Tensor& above, const torch::Tensor& below) {
  ATTNLAB_CHECK(above.defined() == below.defined());
  if (!above.defined()) return {};
  const int64_t rows = std::max(above.size(1), below.size(1));
  return torch::cat({lengthened(above, rows), lengthened(below, rows)});
}

}  // namespace attnlab
