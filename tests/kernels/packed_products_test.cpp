// Products of few rows with packed matrices: the kernel's source run on the CPU, and on a GPU what is made of
// several matrices of one input.
#include <numeric>

#include "catch.h"
#include "kernels/packed_words.h"
#include "on_cpu/kernels_on_cpu.h"
#include "quantize/packed_matrix.h"
#include "reference/packed_twin.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

PackedMatrix random_matrix(const MatrixPacking& packing, const Tensor& g_idx, int64_t out) {
  const int64_t in = g_idx.size(0), groups = groups_of(packing.group_size, in);
  const auto words = [](at::IntArrayRef shape) {
    return torch::randint(-(int64_t{1} << 31), int64_t{1} << 31, shape, torch::kInt64).to(torch::kInt32);
  };
  return {.qweight = words({in * packing.bits / 32, out}),
          .qzeros = words({groups, out * packing.bits / 32}),
          .scales = (0.01 + 0.003 * torch::randn({groups, out})).to(torch::kHalf),
          .g_idx = g_idx};
}

Tensor groups_of_inputs(const MatrixPacking& packing, int64_t in) {
  const auto g_idx = torch::arange(in, torch::kInt32).floor_divide(columns_of_group(packing.group_size, in));
  return (packing.desc_act ? g_idx.index_select(0, torch::randperm(in)) : g_idx).to(torch::kInt32);
}

// One rounding of the result, and sums in float32 of products that are exact: 16 at a time over a warp's share,
// then over 16 warps, cut below the 24th bit. Weights are rounded to x's format where `rounded`.
void check_sums(const Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias, bool rounded) {
  const auto wide = x.to(torch::kFloat64);
  auto expected = wide.matmul(weight.t()), size = wide.abs().matmul(weight.abs().t());
  const double sums = static_cast<double>(x.size(-1)) / 128 + 64;
  auto limit = size * (sums * 0x1p-23 + (rounded ? 0x1p-8 : 0)) + 1e-6;
  if (bias.defined()) {
    expected = expected + bias.to(torch::kFloat64);
    limit = limit + bias.to(torch::kFloat64).abs() * 0x1p-22;
  }
  limit = limit + expected.abs() * 0x1p-8;
  const auto excess = (y.to(torch::kFloat64) - expected).abs() - limit;
  INFO("worst " << excess.max().item<double>());
  CHECK(excess.max().item<double>() <= 0);
  CHECK(y.isfinite().all().item<bool>());
}

struct ProductCase {
  int64_t in, group;
  std::vector<int64_t> outs;
  int rows, multiprocessors;
  bool anywhere, bias, sorted = true;
};

struct Factors {
  std::vector<PackedMatrix> matrices;
  std::vector<Tensor> biases;
  Tensor weight, bias;  // of all
};

MatrixPacking packing_of(const ProductCase& c, int64_t bits) {
  return {.bits = bits,
          .group_size = c.group,
          .desc_act = c.anywhere,
          .sym = false,
          .format = bits == 3 ? PackedFormat::gptq_v2 : PackedFormat::gptq};
}

Factors factors_of(const ProductCase& c, const MatrixPacking& packing) {
  Factors out;
  std::vector<Tensor> weights;
  const auto g_idx = groups_of_inputs(packing, c.in);
  for (const int64_t wide : c.outs) {
    const auto stored = random_matrix(packing, g_idx, wide);
    out.matrices.push_back(c.sorted ? sort_columns(stored, packing) : stored);
    weights.push_back(naive_packed_weight(stored, packing));
    if (c.bias) out.biases.push_back(torch::randn({wide}).to(torch::kBFloat16));
  }
  out.weight = torch::cat(weights, 0);
  if (c.bias) out.bias = torch::cat(out.biases, 0);
  return out;
}

// Of groups in order.
bool fill_steps(const ProductCase& c, int64_t bits) {
  const auto in = static_cast<int>(c.in), group = static_cast<int>(columns_of_group(c.group, c.in));
  return bits == 2   ? cuda::groups_fill_steps<2>(in, group)
         : bits == 3 ? cuda::groups_fill_steps<3>(in, group)
         : bits == 4 ? cuda::groups_fill_steps<4>(in, group)
                     : cuda::groups_fill_steps<8>(in, group);
}

// Matrices that end in any block, on either side of the number of multiprocessors; inputs that some warps have
// none of, that fill no step; one group, groups that end anywhere in a warp's share or within steps; one row
// and more of any order, and an order that was not sorted.
std::vector<ProductCase> product_cases() {
  return {{96, 32, {64}, 1, 3, true, false},
          {160, -1, {32, 96}, 3, 2, false, true},
          {4096, 64, {32}, 8, 2, true, false},
          {1120, 64, {96, 32, 64}, 5, 3, true, true},
          {1120, 64, {96, 32, 64}, 1, 8, true, true},
          {2048, 128, {64, 32}, 16, 2, false, false},
          {4032, 128, {32, 32, 32, 32}, 1, 3, true, true},
          {416, 64, {160}, 11, 9, true, true},
          {416, 24, {64, 32}, 1, 9, true, true},
          {416, 24, {32, 64, 32}, 12, 2, false, true},
          {96, 32, {96}, 2, 2, true, true, false},
          {32, -1, {64}, 2, 132, false, false}};
}

void check_on_cpu(const ProductCase& c, int64_t bits) {
  INFO("bits " << bits << " in " << c.in << " group " << c.group << " rows " << c.rows << " any order "
               << c.anywhere);
  const auto packing = packing_of(c, bits);
  const auto f = factors_of(c, packing);
  const bool sorted = f.matrices[0].order.defined(), fill = fill_steps(c, bits);
  REQUIRE(sorted == (c.anywhere && c.sorted));
  const bool gathered = sorted && fill && c.rows == 1;
  const auto x = torch::randn({c.rows, c.in}).to(torch::kBFloat16);
  const auto in_order = [&](const Tensor& t) { return t.index_select(-1, f.matrices[0].order); };
  const auto in = sorted && !gathered ? in_order(x) : x;
  const auto g_idx = sorted ? in_order(f.matrices[0].g_idx) : f.matrices[0].g_idx;
  const auto y = torch::full({c.rows, f.weight.size(0)}, 7, torch::kBFloat16);
  PackedOnCpu z{.bits = static_cast<int>(bits),
                .rows = c.rows,
                .in = static_cast<int>(c.in),
                .group = c.anywhere && !sorted ? 0 : static_cast<int>(columns_of_group(c.group, c.in)),
                .count = static_cast<int>(c.outs.size()),
                .multiprocessors = c.multiprocessors,
                .zero_offset = static_cast<uint32_t>(packing.zero_offset()),
                .x = in.const_data_ptr(),
                .g_idx = g_idx.const_data_ptr<int32_t>(),
                .order = gathered ? f.matrices[0].order.const_data_ptr<int32_t>() : nullptr,
                .matrix = {},
                .y = y.data_ptr()};
  for (size_t i = 0; i < c.outs.size(); ++i)
    z.matrix[i] = {f.matrices[i].qweight.const_data_ptr(), f.matrices[i].qzeros.const_data_ptr(),
                   f.matrices[i].scales.const_data_ptr(), c.bias ? f.biases[i].const_data_ptr() : nullptr,
                   static_cast<int>(c.outs[i])};
  packed_products_on_cpu(z);
  check_sums(y, x, f.weight, f.bias, !fill || z.group == 0);
}

TEST_CASE(
    "the source of the kernel for packed matrices, run on the CPU, gives sums in double precision, rounded") {
  torch::manual_seed(61);
  for (const auto& c : product_cases())
    for (const int64_t bits : {2, 3, 4, 8}) check_on_cpu(c, bits);
}

// Of several, in the order of the first.
PackedMatrix on_gpu(const PackedMatrix& p, const PackedMatrix& order_of) {
  const auto order = order_of.order.is_cuda() || !p.order.defined() ? order_of.order : p.order.cuda();
  return {.qweight = p.qweight.cuda(),
          .qzeros = p.qzeros.cuda(),
          .scales = p.scales.cuda(),
          .g_idx = p.g_idx.cuda(),
          .order = order};
}

// Sums of a row are in the same order wherever warps are as many.
void check_one_launch(const ProductCase& c, int64_t bits, torch::ScalarType dtype) {
  INFO("bits " << bits << " in " << c.in << " group " << c.group << " any order " << c.anywhere << " "
               << torch::toString(dtype));
  const auto packing = packing_of(c, bits);
  auto f = factors_of(c, packing);
  for (auto& matrix : f.matrices) matrix = on_gpu(matrix, f.matrices.front());
  for (auto& bias : f.biases) bias = bias.to(torch::kCUDA, dtype);
  constexpr int64_t few = 256;  // outputs: fewer blocks than any card has multiprocessors
  for (const int rows : {1, 2, 5, 8, 9, 16}) {
    INFO("rows " << rows);
    const auto x = torch::randn({rows, c.in}).to(dtype), there = x.cuda();
    const auto y = packed_linear_of_all(there, f.matrices, packing, f.biases);
    REQUIRE(y.defined());
    check_sums(y.cpu(), x, f.weight, f.bias, !c.sorted || !fill_steps(c, bits));
    CHECK(torch::equal(y, packed_linear_of_all(there, f.matrices, packing, f.biases)));
    CHECK(torch::equal(packed_linear_of_all(there.narrow(0, rows - 1, 1), f.matrices, packing, f.biases),
                       y.narrow(0, rows - 1, 1)));
    if (f.weight.size(0) > few) continue;
    std::vector<Tensor> apart;
    for (size_t i = 0; i < f.matrices.size(); ++i)
      apart.push_back(packed_linear(there, f.matrices[i], packing, f.biases.empty() ? Tensor() : f.biases[i]));
    CHECK(torch::equal(y, torch::cat(apart, -1)));
  }
}

TEST_CASE("on a GPU packed matrices of one input are one product, each row the same whatever is beside it") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(62);
  auto cases = product_cases();
  cases.push_back({4096, 128, {128, 64, 64}, 0, 0, true, true});
  cases.push_back({192, 64, {2208, 2240}, 0, 0, true, false});
  cases.push_back({192, 24, {4352, 32}, 0, 0, false, true});
  for (const auto& c : cases)
    for (const int64_t bits : {2, 3, 4, 8})
      for (const auto dtype : {torch::kBFloat16, torch::kHalf}) check_one_launch(c, bits, dtype);
}

TEST_CASE("on a GPU packed matrices in different orders, or with groups anywhere, are products apart") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(63);
  const ProductCase c{512, 128, {64, 32}, 0, 0, true, false};
  const auto packing = packing_of(c, 4);
  const auto f = factors_of(c, packing);
  const std::vector<PackedMatrix> apart{on_gpu(f.matrices[0], {}), on_gpu(f.matrices[1], {})};
  const std::vector<PackedMatrix> alike{apart[0], on_gpu(f.matrices[1], apart[0])};
  const auto x = torch::randn({1, c.in}).to(torch::kBFloat16), there = x.cuda();
  CHECK_FALSE(packed_linear_of_all(there, apart, packing, {}).defined());
  CHECK(packed_linear_of_all(there, alike, packing, {}).defined());
  check_sums(packed_linear(there, apart[1], packing).cpu(), x, f.weight.narrow(0, 64, 32), {}, false);
  auto unsorted = c;
  unsorted.sorted = false;
  const auto u = factors_of(unsorted, packing);
  const std::vector<PackedMatrix> anywhere{on_gpu(u.matrices[0], {}), on_gpu(u.matrices[1], {})};
  CHECK_FALSE(packed_linear_of_all(there, anywhere, packing, {}).defined());
  check_sums(packed_linear(there, anywhere[0], packing).cpu(), x, u.weight.narrow(0, 0, 64), {}, true);
}

}  // namespace
}  // namespace attnlab::test
