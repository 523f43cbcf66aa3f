// Products of few rows against sums in double precision: the kernel's source on the CPU, and the kernel on a
// GPU.
#include "kernels/few_rows.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "attention/linear.h"
#include "catch.h"
#include "kernels/recorded.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;
namespace few = cuda::few_rows;

Tensor rows_in_double(const Tensor& x) { return x.to(torch::kCPU, torch::kFloat64); }

// Sums of K products in float32, in any order, and one rounding to bfloat16.
void check_product(const Tensor& found, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto x_MK = rows_in_double(x), w_KN = rows_in_double(weight).t();
  auto exact = torch::matmul(x_MK, w_KN), terms = torch::matmul(x_MK.abs(), w_KN.abs());
  if (bias.defined()) exact += rows_in_double(bias), terms += rows_in_double(bias).abs();
  const auto limit = 0x1p-8 * exact.abs() + static_cast<double>(x.size(-1) + 1) * 0x1p-24 * terms;
  const auto beyond = ((rows_in_double(found) - exact).abs() - limit).max().item<double>();
  INFO("M " << x.numel() / x.size(-1) << " N " << weight.size(0) << " K " << x.size(-1) << " beyond "
            << beyond);
  CHECK(found.sizes() == exact.sizes());
  CHECK(beyond <= 0);
}

// How often each of `total` is in ranges.
std::vector<int> times_in(int total, const std::vector<few::Range>& ranges) {
  std::vector<int> times(static_cast<size_t>(total));
  for (const auto& range : ranges)
    for (int i = range.begin; i < range.end; ++i) ++times.at(static_cast<size_t>(i));
  return times;
}

bool all_once(const std::vector<int>& times) {
  return std::all_of(times.begin(), times.end(), [](int n) { return n == 1; });
}

void check_shares(const cuda::FewRowsLayout& l, int multiprocessors) {
  INFO("N " << l.N << " K " << l.K << " groups " << l.groups);
  CHECK((l.groups >= 1 && l.groups <= l.N));
  CHECK(l.groups <= multiprocessors);
  std::vector<few::Range> outputs, inputs;
  int least = l.N, most = 0;
  for (int group = 0; group < l.groups; ++group) {
    int own = 0;
    for (int pass = 0; pass < l.passes; ++pass) {
      const auto range = l.outputs_of(group, pass);
      CHECK((l.height <= l.tiles * few::kTile && range.size() <= l.height));
      if (range.size() > 0) outputs.push_back(range), own += range.size();
    }
    least = std::min(least, own), most = std::max(most, own);
  }
  CHECK(most - least <= 1);
  CHECK(all_once(times_in(l.N, outputs)));
  for (int step = 0; step < l.steps(); ++step)
    for (int warp = 0; warp < few::kWarps; ++warp) {
      const int begin = (step * few::kWarps + warp) * few::kPiece;
      if (begin < l.K) inputs.push_back({begin, std::min(begin + few::kPiece, l.K)});
    }
  CHECK(all_once(times_in(l.K, inputs)));
}

TEST_CASE("blocks of a product of few rows share its matrix evenly, and each number is one block's") {
  for (const int multiprocessors : {132, 114, 108, 7, 1})
    for (const int N : {1, 7, 8, 37, 896, 1152, 4096, 6720, 9728, 22016, 32000, 151936})
      for (const int K : {8, 72, 896, 4096, 4864, 11008})
        check_shares(cuda::few_rows_layout(16, N, K, multiprocessors), multiprocessors);
}

TEST_CASE("the source of the kernel for few rows, run on the CPU, gives sums in double precision, rounded") {
  torch::manual_seed(41);
  const auto options = torch::dtype(torch::kBFloat16);
  struct Shape {
    int M, N, K, multiprocessors;
    bool bias;
  };
  // One, two and four tiles in a step; outputs and inputs that fill no tile and no piece; several passes.
  for (const auto& s : std::vector<Shape>{{1, 40, 1096, 5, true},
                                          {8, 37, 72, 3, false},
                                          {16, 64, 608, 4, true},
                                          {3, 61, 520, 2, false},
                                          {11, 150, 640, 5, true},
                                          {5, 50, 96, 1, true},
                                          {16, 203, 1064, 2, false},
                                          {2, 131, 40, 1, true}}) {
    const auto x = torch::randn({s.M, s.K + 16}, options).narrow(1, 8, s.K),
               weight = torch::randn({s.N, s.K + 8}, options).narrow(1, 0, s.K);
    const auto bias = s.bias ? torch::randn({s.N}, options) : Tensor();
    const auto y = torch::full({s.M, s.N + 3}, 7, options);
    auto layout = cuda::few_rows_layout(s.M, s.N, s.K, s.multiprocessors);
    layout.x_row = x.stride(0), layout.w_row = weight.stride(0), layout.y_row = y.stride(0);
    const auto bits = [](const Tensor& of) { return static_cast<const uint16_t*>(of.const_data_ptr()); };
    few_rows_on_cpu(layout, {.x = bits(x),
                             .w = bits(weight),
                             .bias = s.bias ? bits(bias) : nullptr,
                             .y = static_cast<uint16_t*>(y.data_ptr())});
    check_product(y.narrow(1, 0, s.N), x, weight, bias);
    CHECK(y.narrow(1, s.N, 3).eq(7).all().item<bool>());
  }
}

TEST_CASE("a product of few rows without the kernel is torch's") {
  torch::manual_seed(42);
  const torch::NoGradGuard no_grad;
  const auto x = torch::randn({2, 3, 16}), weight = torch::randn({5, 16}), bias = torch::randn({5});
  CHECK_FALSE(fits_few_rows(x, weight, bias));
  CHECK(torch::equal(linear_of_rows(x, weight, bias), torch::linear(x, weight, bias)));
}

torch::TensorOptions rows_on_gpu() { return torch::dtype(torch::kBFloat16).device(torch::kCUDA); }

struct Product {
  Tensor x, weight, bias;
  bool fits() const { return fits_few_rows(x, weight, bias); }
  Tensor operator()() const { return linear_of_rows(x, weight, bias); }
};

// x and W as parts of wider rows.
Product product_on_gpu(int64_t M, int64_t N, int64_t K, bool with_bias) {
  return {.x = torch::randn({M, 1, K + 64}, rows_on_gpu()).narrow(2, 32, K),
          .weight = torch::randn({N + 3, K + 8}, rows_on_gpu()).narrow(0, 2, N).narrow(1, 8, K),
          .bias = with_bias ? torch::randn({N}, rows_on_gpu()) : Tensor()};
}

#define NEEDS_FEW_ROWS_KERNEL()                          \
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU"); \
  const torch::NoGradGuard no_grad;                      \
  torch::manual_seed(43);                                \
  REQUIRE(product_on_gpu(1, 8, 8, false).fits())

TEST_CASE(
    "products of few rows on a GPU are sums in double precision, rounded, and equal calls give equal bits") {
  NEEDS_FEW_ROWS_KERNEL();
  for (const auto& [N, K] : std::vector<std::pair<int64_t, int64_t>>{
           {1152, 896}, {896, 4864}, {4096, 11008}, {6720, 4096}, {9728, 896}, {200, 96}, {37, 72}, {1, 8}})
    for (const int64_t M : {1, 3, 8, 9, 16}) {
      const auto product = product_on_gpu(M, N, K, (M + N) % 2 == 0);
      CHECK(product.fits());
      const auto y = product();
      check_product(y, product.x, product.weight, product.bias);
      CHECK(torch::equal(y, product()));
    }
}

TEST_CASE("a row of few on a GPU is the same, whatever rows are beside it") {
  NEEDS_FEW_ROWS_KERNEL();
  auto product = product_on_gpu(16, 1000, 1024, true);
  const auto all = product();
  for (const int64_t M : {1, 2, 8, 9}) {
    auto some = product;
    some.x = product.x.narrow(0, 16 - M, M);
    CHECK(torch::equal(some(), all.narrow(0, 16 - M, M)));
  }
}

TEST_CASE("a recorded product of few rows on a GPU reads what is there when it is replayed") {
  NEEDS_FEW_ROWS_KERNEL();
  const auto product = product_on_gpu(16, 9000, 4096, true);
  Tensor y;
  product();
  Recorder recorder(product.x.device());
  const auto recording = recorder.record([&] { y = product(); });
  for (const double scale : {2.0, -0.5}) {
    product.x.mul_(scale), product.weight.mul_(scale);
    recording->replay();
    CHECK(torch::equal(y, product()));
    check_product(y, product.x, product.weight, product.bias);
  }
}

TEST_CASE("on a GPU a Linear takes the kernel for few rows, where no gradient is asked for") {
  NEEDS_FEW_ROWS_KERNEL();
  Linear linear(512, 300, true);
  linear->weight.set_data(torch::randn({300, 512})), linear->bias.set_data(torch::randn({300}));
  linear->to(torch::kCUDA, torch::kBFloat16);
  const auto x = torch::randn({4, 1, 512}, rows_on_gpu());
  CHECK(torch::equal(linear->forward(x), linear_of_rows(x, linear->weight, linear->bias)));
  check_product(linear->forward(x), x, linear->weight, linear->bias);
  {
    const torch::AutoGradMode with_gradients(true);
    CHECK(linear->forward(x).requires_grad());
  }
}

TEST_CASE("what the kernel for few rows does not take on a GPU") {
  NEEDS_FEW_ROWS_KERNEL();
  const auto product = product_on_gpu(16, 64, 512, true);
  CHECK(product.fits());
  {
    const torch::AutoGradMode with_gradients(true);
    CHECK_FALSE(product.fits());
  }
  at::autocast::set_autocast_enabled(torch::kCUDA, true);
  CHECK_FALSE(product.fits());
  at::autocast::set_autocast_enabled(torch::kCUDA, false);
  CHECK_FALSE(product_on_gpu(17, 64, 512, false).fits());
  CHECK_FALSE(product_on_gpu(16, 64, 508, false).fits());
  auto other = product;
  other.x = other.x.to(torch::kHalf);
  CHECK_FALSE(other.fits());
  other = product;
  other.bias = other.bias.to(torch::kFloat32);
  CHECK_FALSE(other.fits());
  other = product;
  other.x = torch::randn({16, 1, 520}, rows_on_gpu()).narrow(2, 1, 512);  // starts between 16 bytes
  CHECK_FALSE(other.fits());
  CHECK(torch::equal(other(),
                     torch::linear(other.x, other.weight, other.bias)));  // cuBLAS may round sums of parts
}

}  // namespace
}  // namespace attnlab::test
