// The source of the kernel that joins the parts of absorbed decoding, run on the CPU, against plain loops in
// double precision.
#include <cmath>
#include <limits>

#include "catch.h"
#include "on_cpu/kernels_on_cpu.h"
#include "tensor/torch.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

constexpr int64_t kJoinRows = 5;

// Maxima in powers of two, sums and weighted values. Parts of a length of their own may have looked at nothing,
// and written no values: NaN stands there. The last row has nothing at all.
struct Parts {
  Tensor partials_Bp2, values_BpR;
};
Parts some_parts(int parts, int R) {
  Parts out{torch::randn({kJoinRows, parts, 2}, torch::kFloat32), torch::randn({kJoinRows, parts, R})};
  out.partials_Bp2.select(2, 0).mul_(3);
  out.partials_Bp2.select(2, 1).abs_().add_(1);
  const auto order = torch::arange(parts).view({1, parts}), row = torch::arange(kJoinRows).view({-1, 1});
  auto empty = (row == 1).logical_and(order >= (parts + 1) / 2);
  empty = empty.logical_or((row == 2).logical_and(order % 3 == 1)).logical_or(row == kJoinRows - 1);
  out.partials_Bp2.select(2, 0).masked_fill_(empty, -INFINITY);
  out.partials_Bp2.select(2, 1).masked_fill_(empty, 0);
  out.values_BpR.masked_fill_(empty.unsqueeze(2), std::numeric_limits<float>::quiet_NaN());
  return out;
}

Tensor joined(const Parts& of, int R) {
  const auto out = torch::full({kJoinRows, R}, 7, torch::kBFloat16);
  join_latent_on_cpu({.rows = kJoinRows,
                      .parts = static_cast<int>(of.partials_Bp2.size(1)),
                      .R = R,
                      .partials = of.partials_Bp2.data_ptr<float>(),
                      .values = of.values_BpR.data_ptr<float>(),
                      .out = reinterpret_cast<uint16_t*>(out.data_ptr())});
  return out;
}

// Σ 2^(m - highest) values / Σ 2^(m - highest) sums, 0 of nothing.
Tensor joined_exactly(const Parts& of) {
  const auto maximum = of.partials_Bp2.select(2, 0).to(torch::kFloat64);
  const auto weight = torch::nan_to_num(torch::exp2(maximum - maximum.amax(1, true)), 0).unsqueeze(2);
  const auto total = (weight.squeeze(2) * of.partials_Bp2.select(2, 1)).sum(1, true);
  const auto sum = (weight * torch::nan_to_num(of.values_BpR.to(torch::kFloat64), 0)).sum(1);
  return torch::where(total > 0, sum / total, 0);
}

TEST_CASE(
    "the source of the kernel that joins parts of a latent, run on the CPU, gives what plain loops give") {
  torch::manual_seed(41);
  for (const int R : {16, 80, 144, 512})
    for (const int parts : {1, 2, 3, 8, 9, 16, 17, 31, 32, 33, 64, 65, 131, 256}) {
      INFO("R " << R << " parts " << parts);
      const auto of = some_parts(parts, R);
      const auto found = joined(of, R), exact = joined_exactly(of);
      // A share is off by 2^-21 of itself, from its exponential and a sum of so many parts; the result is
      // rounded to bfloat16.
      const auto wrong = (found.to(torch::kFloat64) - exact).abs() - 0x1p-8 * exact.abs();
      const double greatest = torch::nan_to_num(of.values_BpR, 0).abs().max().item<double>();
      INFO("worst " << wrong.max().item<double>());
      CHECK(found.isfinite().all().item<bool>());
      CHECK(wrong.max().item<double>() <= (parts + 8) * 0x1p-23 * greatest);
      CHECK(found.select(0, kJoinRows - 1).eq(0).all().item<bool>());
      CHECK(torch::equal(joined(of, R), found));
    }
}

}  // namespace
}  // namespace attnlab::test
