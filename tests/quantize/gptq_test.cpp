// GPTQ against plain loops in double precision, written from the paper's equations.
#include "quantize/gptq.h"

#include <cmath>
#include <vector>

#include "catch.h"

namespace attnlab::test {
namespace {

using Row = std::vector<double>;
using Table = std::vector<Row>;

Table table_of(const torch::Tensor& x) {
  Table out;
  for (int64_t i = 0; i < x.size(0); ++i) {
    out.emplace_back();
    for (int64_t j = 0; j < x.size(1); ++j) out.back().push_back(x[i][j].item<double>());
  }
  return out;
}

// The inverse of a positive definite matrix by Gauss and Jordan.
Table inverted(Table a) {
  const size_t n = a.size();
  Table b(n, Row(n));
  for (size_t i = 0; i < n; ++i) b[i][i] = 1;
  for (size_t i = 0; i < n; ++i) {
    const double pivot = a[i][i];
    for (size_t k = 0; k < n; ++k) a[i][k] /= pivot, b[i][k] /= pivot;
    for (size_t r = 0; r < n; ++r) {
      const double factor = a[r][i];
      if (r == i) continue;
      for (size_t k = 0; k < n; ++k) a[r][k] -= factor * a[i][k], b[r][k] -= factor * b[i][k];
    }
  }
  return b;
}

// Optimal brain quantisation of one row in order of its columns: after column i, the inverse Hessian of those
// behind it is what Gaussian elimination of i leaves (the paper's equation 3). One grid for the whole row.
Row quantised_row(Row w, Table inverse, double scale, double zero, double top) {
  Row out(w.size());
  for (size_t i = 0; i < w.size(); ++i) {
    const double q = std::min(std::max(std::nearbyint(w[i] / scale) + zero, 0.0), top);
    out[i] = scale * (q - zero);
    const double error = (w[i] - out[i]) / inverse[i][i];
    for (size_t j = i + 1; j < w.size(); ++j) w[j] -= error * inverse[i][j];
    const Table before = inverse;
    for (size_t r = i + 1; r < w.size(); ++r)
      for (size_t k = i + 1; k < w.size(); ++k)
        inverse[r][k] = before[r][k] - before[r][i] * before[i][k] / before[i][i];
  }
  return out;
}

struct Problem {
  torch::Tensor weight, hessian, inputs;
};

Problem problem(int64_t out, int64_t in, uint64_t seed) {
  torch::manual_seed(seed);
  const auto mix = torch::randn({in, in}, torch::kFloat64) * 0.3 + torch::eye(in, torch::kFloat64);
  const auto inputs = torch::randn({3, 40, in}, torch::kFloat64).matmul(mix);
  const auto flat = inputs.flatten(0, 1);
  return {torch::randn({out, in}), gptq_hessian(flat.t().matmul(flat), 3), inputs};
}

TEST_CASE("GPTQ is optimal brain quantisation column by column") {
  for (const int64_t bits : {2, 3, 4}) {
    const Problem p = problem(5, 19, 1 + static_cast<uint64_t>(bits));
    // A block of 7: updates within blocks and behind them.
    const GptqOptions o{.bits = bits, .group_size = -1, .sym = false, .damping = 0.02, .block = 7};
    const auto ours = table_of(dequantised(gptq(p.weight, p.hessian, o)));
    Table damped = table_of(p.hessian);
    double mean = 0;
    for (size_t i = 0; i < damped.size(); ++i) mean += damped[i][i] / static_cast<double>(damped.size());
    for (size_t i = 0; i < damped.size(); ++i) damped[i][i] += 0.02 * mean;
    const Table inverse = inverted(damped), weight = table_of(p.weight);
    const double top = std::pow(2.0, static_cast<double>(bits)) - 1;
    for (size_t r = 0; r < weight.size(); ++r) {
      double low = 0, high = 0;
      for (const double w : weight[r]) low = std::min(low, w), high = std::max(high, w);
      const double scale = (high - low) / top, zero = std::nearbyint(-low / scale);
      const Row expected = quantised_row(weight[r], inverse, scale, zero, top);
      // Float32 sums of 19 products of size 1 err by less than 1e-5; no rounding lies so close to a half here.
      for (size_t i = 0; i < expected.size(); ++i) CHECK(ours[r][i] == Approx(expected[i]).margin(1e-5));
    }
  }
}

TEST_CASE("GPTQ errs less on its inputs than round to nearest, and less again with the largest inputs first") {
  const Problem p = problem(24, 64, 5);
  const auto error = [&](const QuantizedMatrix& m) {
    return half_trace_error(p.weight, dequantised(m), p.hessian);
  };
  GptqOptions o{.bits = 3, .group_size = 16, .sym = false};
  const double nearest = error(round_to_nearest(p.weight, o.grid(), 16)),
               plain = error(gptq(p.weight, p.hessian, o));
  o.act_order = true;
  const double ordered = error(gptq(p.weight, p.hessian, o));
  CHECK(plain < 0.7 * nearest);
  CHECK(ordered < nearest);
}

TEST_CASE("static groups under act_order keep the columns' own groups") {
  const Problem p = problem(8, 40, 6);
  const auto result =
      gptq(p.weight, p.hessian, {.bits = 4, .group_size = 16, .act_order = true, .static_groups = true});
  CHECK(torch::equal(result.g_idx_I, torch::arange(40, torch::kInt32).floor_divide(16)));
  const auto moved = gptq(p.weight, p.hessian, {.bits = 4, .group_size = 16, .act_order = true});
  CHECK_FALSE(torch::equal(moved.g_idx_I, result.g_idx_I));
  CHECK(torch::bincount(moved.g_idx_I.to(torch::kInt64)).max().item<int64_t>() == 16);
}

TEST_CASE("collinear inputs raise the damping until there is a factor, and an unseen input loses its weights") {
  Problem p = problem(4, 12, 7);
  const auto one = torch::randn({12}, torch::kFloat64);
  auto hessian = torch::outer(one, one);
  hessian.select(0, 3).zero_();
  hessian.select(1, 3).zero_();
  double used = 0;
  const auto result = gptq(p.weight, hessian, {.bits = 4, .group_size = -1, .damping = 1e-18}, 0, &used);
  CHECK(used > 1e-18);
  CHECK((dequantised(result).select(1, 3) == 0).all().item<bool>());
}

TEST_CASE("a zero point of 0 is raised where the layout can't say it") {
  const auto weight = torch::rand({6, 10}) + 0.1;
  const GridOptions grid{.bits = 4, .sym = false, .least_zero = 1};
  const auto m = round_to_nearest(weight, grid, -1);
  CHECK((m.zeros_OC == 1).all().item<bool>());
  // The largest weight loses one step of its fifteen, the others half a step at most.
  const auto error = (dequantised(m) - weight).abs();
  CHECK((error <= m.scales_OC * 1.001).all().item<bool>());
}

TEST_CASE("symmetric grids reach as far on both sides of zero, in rows without negative numbers, too") {
  const auto weight = torch::rand({3, 10}) + 0.1;
  const auto top_O = weight.amax(1);
  const auto m = round_to_nearest(weight, {.bits = 4, .sym = true}, -1);
  CHECK((m.zeros_OC == 8).all().item<bool>());
  CHECK((m.scales_OC.squeeze(1) - 2 * top_O / 15).abs().max().item<double>() < 1e-7);
  // The grid ends half a step below the largest number.
  CHECK(((dequantised(m) - weight).abs() <= 0.501 * m.scales_OC).all().item<bool>());
  const auto halved = round_to_nearest(weight, {.bits = 4, .sym = true, .halve_nonnegative = true}, -1);
  CHECK((halved.zeros_OC == 8).all().item<bool>());
  CHECK((halved.scales_OC.squeeze(1) - top_O / 15).abs().max().item<double>() < 1e-7);
  CHECK((dequantised(halved).amax(1) - 7 * top_O / 15).abs().max().item<double>() < 1e-6);  // less than half
  const auto mixed = torch::randn({3, 10});
  CHECK(torch::equal(round_to_nearest(mixed, {.bits = 4}, -1).ints_OI,
                     round_to_nearest(mixed, {.bits = 4, .halve_nonnegative = true}, -1).ints_OI));
  const auto zero = round_to_nearest(torch::zeros({2, 4}), {.bits = 4, .sym = true}, -1);
  CHECK((dequantised(zero) == 0).all().item<bool>());
}

}  // namespace
}  // namespace attnlab::test
