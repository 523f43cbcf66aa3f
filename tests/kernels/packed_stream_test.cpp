// Products of few rows with packed matrices by the kernel that reads them as a stream: its shares, its source
// run on the CPU, and on a GPU what is made of several matrices of one input.
#include <numeric>

#include "catch.h"
#include "kernels/packed.h"
#include "kernels/packed_stream_layout.h"
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
// then over 16 warps, cut below the 24th bit.
void check_sums(const Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto wide = x.to(torch::kFloat64);
  auto expected = wide.matmul(weight.t()), size = wide.abs().matmul(weight.abs().t());
  if (bias.defined())
    expected = expected + bias.to(torch::kFloat64), size = size + bias.to(torch::kFloat64).abs();
  const double sums = static_cast<double>(x.size(-1)) / 128 + 64;
  const auto limit = expected.abs() * 0x1p-8 + size * (sums * 0x1p-23) + 1e-6;
  const auto excess = (y.to(torch::kFloat64) - expected).abs() - limit;
  INFO("worst " << excess.max().item<double>());
  CHECK(excess.max().item<double>() <= 0);
  CHECK(y.isfinite().all().item<bool>());
}

struct StreamCase {
  int64_t in, group;
  std::vector<int64_t> outs;
  int rows, multiprocessors;
  bool anywhere, bias;
};

struct Factors {
  std::vector<PackedMatrix> stored, matrices;  // as in files; in the order of their groups
  std::vector<Tensor> biases;
  Tensor weight, bias;  // of all
};

Factors factors_of(const StreamCase& c, const MatrixPacking& packing) {
  Factors out;
  std::vector<Tensor> weights;
  const auto g_idx = groups_of_inputs(packing, c.in);
  for (const int64_t wide : c.outs) {
    out.stored.push_back(random_matrix(packing, g_idx, wide));
    out.matrices.push_back(sort_columns(out.stored.back(), packing));
    weights.push_back(naive_packed_weight(out.stored.back(), packing));
    if (c.bias) out.biases.push_back(torch::randn({wide}).to(torch::kBFloat16));
  }
  out.weight = torch::cat(weights, 0);
  if (c.bias) out.bias = torch::cat(out.biases, 0);
  return out;
}

MatrixPacking packing_of(const StreamCase& c, int64_t bits) {
  return {.bits = bits,
          .group_size = c.group,
          .desc_act = c.anywhere,
          .sym = false,
          .format = bits == 3 ? PackedFormat::gptq_v2 : PackedFormat::gptq};
}

// A block has several passes, its outputs end within one and lie in two matrices; inputs that some warps have
// none of, that fill no step, more steps than are on their way, one group, groups that end anywhere in a warp's
// share.
std::vector<StreamCase> stream_cases() {
  return {{96, 32, {64}, 1, 3, true, false},          {160, -1, {32, 96}, 3, 2, false, true},
          {4160, 64, {32}, 8, 2, true, false},        {1120, 64, {96, 32, 64}, 5, 3, true, true},
          {2048, 128, {64, 32}, 16, 2, false, false}, {4736, 128, {32, 32, 32, 32}, 2, 3, true, true},
          {416, 64, {160}, 11, 1, true, true},        {32, -1, {64}, 2, 132, false, false}};
}

TEST_CASE(
    "the source of the kernel for packed matrices, run on the CPU, gives sums in double precision, rounded") {
  torch::manual_seed(61);
  for (const auto& c : stream_cases())
    for (const int64_t bits : {2, 3, 4, 8}) {
      INFO("bits " << bits << " in " << c.in << " rows " << c.rows << " any order " << c.anywhere);
      const int64_t step = bits == 2 ? 64 : bits == 8 ? 16 : 32;
      if (c.group > 0 && c.group < c.in && c.group % step != 0) continue;
      const auto packing = packing_of(c, bits);
      const auto f = factors_of(c, packing);
      const auto x = torch::randn({c.rows, c.in}).to(torch::kBFloat16);
      const auto y = torch::full({c.rows, f.weight.size(0)}, 7, torch::kBFloat16);
      PackedOnCpu z{.bits = static_cast<int>(bits),
                    .rows = c.rows,
                    .in = static_cast<int>(c.in),
                    .group = static_cast<int>(columns_of_group(c.group, c.in)),
                    .parts = static_cast<int>(c.outs.size()),
                    .multiprocessors = c.multiprocessors,
                    .zero_offset = static_cast<uint32_t>(packing.zero_offset()),
                    .x = x.const_data_ptr(),
                    .place = c.anywhere ? f.matrices[0].place.const_data_ptr<int32_t>() : nullptr,
                    .part = {},
                    .y = y.data_ptr()};
      REQUIRE(f.matrices[0].order.defined() == c.anywhere);
      for (size_t i = 0; i < c.outs.size(); ++i)
        z.part[i] = {f.matrices[i].qweight.const_data_ptr(), f.matrices[i].qzeros.const_data_ptr(),
                     f.matrices[i].scales.const_data_ptr(), c.bias ? f.biases[i].const_data_ptr() : nullptr,
                     static_cast<int>(c.outs[i])};
      packed_products_on_cpu(z);
      check_sums(y, x, f.weight, f.bias);
    }
}

TEST_CASE("blocks share the outputs of packed matrices evenly, and warps the steps of their inputs") {
  for (const int multiprocessors : {132, 108, 7, 1})
    for (const int out : {32, 896, 4096, 11008, 22016})
      for (const int in : {32, 96, 4096, 11008}) {
        const auto l = cuda::packed_stream_layout<4>(1, in, 32, &out, 1, multiprocessors);
        int next = 0, least = out, most = 0;
        for (int block = 0; block < l.blocks; ++block) {
          const auto own = l.outputs_of(block);
          CHECK(own.begin == next);
          CHECK(own.begin % 8 == 0);
          next = own.end, least = std::min(least, own.size()), most = std::max(most, own.size());
        }
        CHECK(next == out);
        CHECK(most - least <= 8);
        CHECK(least > 0);
        CHECK(l.blocks <= multiprocessors);
        int step = 0;
        for (int warp = 0; warp < 16; ++warp) {
          CHECK(l.steps_of(warp).begin == step);
          step = l.steps_of(warp).end;
          CHECK(l.steps_of(warp).size() <= l.warp_steps);
        }
        CHECK(step == (in + 31) / 32);
        CHECK(l.pitch >= in);
        CHECK(l.pitch % 64 == 32);
      }
}

PackedMatrix on_gpu(const PackedMatrix& p, const PackedMatrix& order_of) {
  const auto there = [](const Tensor& part) { return part.defined() ? part.cuda() : part; };
  return {.qweight = p.qweight.cuda(),
          .qzeros = p.qzeros.cuda(),
          .scales = p.scales.cuda(),
          .g_idx = p.g_idx.cuda(),
          .order = order_of.order.is_cuda() ? order_of.order : there(p.order),
          .place = order_of.order.is_cuda() ? order_of.place : there(p.place)};
}

void check_one_launch(const StreamCase& c, int64_t bits, torch::ScalarType dtype) {
  INFO("bits " << bits << " in " << c.in << " any order " << c.anywhere << " " << torch::toString(dtype));
  const auto packing = packing_of(c, bits);
  auto f = factors_of(c, packing);
  for (auto& matrix : f.matrices) matrix = on_gpu(matrix, f.matrices.front());
  for (auto& bias : f.biases) bias = bias.to(torch::kCUDA, dtype);
  for (const int rows : {1, 2, 5, 8, 9, 16}) {
    INFO("rows " << rows);
    const auto x = torch::randn({rows, c.in}).to(dtype), there = x.cuda();
    const auto y = packed_linear_of_all(there, f.matrices, packing, f.biases);
    REQUIRE(y.defined());
    check_sums(y.cpu(), x, f.weight, f.bias);
    CHECK(torch::equal(y, packed_linear_of_all(there, f.matrices, packing, f.biases)));
    std::vector<Tensor> apart;
    for (size_t i = 0; i < f.matrices.size(); ++i)
      apart.push_back(packed_linear(there, f.matrices[i], packing, f.biases.empty() ? Tensor() : f.biases[i]));
    CHECK(torch::equal(y, torch::cat(apart, -1)));
    if (rows > 1)
      CHECK(torch::equal(packed_linear_of_all(there.narrow(0, 1, 1), f.matrices, packing, f.biases),
                         y.narrow(0, 1, 1)));
  }
}

TEST_CASE("on a GPU packed matrices of one input are one product, each row the same whatever is beside it") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(62);
  auto cases = stream_cases();
  cases.push_back({4096, 128, {512, 128, 128}, 0, 0, true, true});
  cases.push_back({896, 128, {2432, 2432}, 0, 0, false, false});
  cases.push_back({1280, 128, {12320}, 0, 0, true, false});
  cases.push_back({11008, 128, {128}, 0, 0, true, false});
  for (const auto& c : cases)
    for (const int64_t bits : {2, 3, 4, 8})
      for (const auto dtype : {torch::kBFloat16, torch::kHalf}) {
        const int64_t step = bits == 2 ? 64 : bits == 8 ? 16 : 32;
        if (c.group < 0 || c.group >= c.in || c.group % step == 0) check_one_launch(c, bits, dtype);
      }
}

TEST_CASE("on a GPU packed matrices in different orders, or of too many numbers of x, are products apart") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(63);
  const StreamCase c{20480, 128, {64, 32}, 0, 0, true, false};
  const auto packing = packing_of(c, 4);
  const auto f = factors_of(c, packing);
  const std::vector<PackedMatrix> apart{on_gpu(f.matrices[0], {}), on_gpu(f.matrices[1], {})};
  const std::vector<PackedMatrix> alike{apart[0], on_gpu(f.matrices[1], apart[0])};
  const auto x = torch::randn({16, c.in}).to(torch::kBFloat16), one = x.narrow(0, 0, 1);
  CHECK_FALSE(packed_linear_of_all(one.cuda(), apart, packing, {}).defined());
  CHECK(packed_linear_of_all(one.cuda(), alike, packing, {}).defined());
  CHECK_FALSE(packed_linear_of_all(x.cuda(), alike, packing, {}).defined());  // 640 KB
  const auto y = packed_linear(x.cuda(), alike[0], packing);
  check_sums(y.cpu(), x, f.weight.narrow(0, 0, 64), {});
}

}  // namespace
}  // namespace attnlab::test
