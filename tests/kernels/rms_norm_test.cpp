// RMS norms with and without a sum before them against loops in double precision, on the CPU and, where there
// is one, on a GPU.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "catch.h"
#include "devices.h"
#include "kernels/fused.h"
#include "on_cpu/kernels_on_cpu.h"
#include "reference/norm_twin.h"

namespace attnlab {
namespace {

using torch::Tensor;

std::vector<double> doubles(const Tensor& x) {
  if (!x.defined()) return {};
  const auto exact = x.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  return {exact.const_data_ptr<double>(), exact.const_data_ptr<double>() + exact.numel()};
}

double greatest(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

// |found - exact| ≤ absolute + relative · |exact|
void check_all(const Tensor& found, const std::vector<double>& exact, double relative, double absolute) {
  const auto values = doubles(found);
  REQUIRE(values.size() == exact.size());
  double worst = 0;
  for (size_t i = 0; i < exact.size(); ++i)
    worst = std::max(worst, std::abs(values[i] - exact[i]) / (absolute + relative * std::abs(exact[i])));
  INFO("worst " << worst << " of its limit");
  CHECK(worst <= 1);
}

struct NormCase {
  torch::Device device;
  torch::ScalarType dtype, added_dtype;  // added_dtype Undefined: nothing is added
  int64_t rows, width;
  bool apart;  // tensors start one number behind the start of their memory
};

// Eighths up to 2, whose sums every format holds.
Tensor eighths(const NormCase& c, torch::IntArrayRef shape, torch::ScalarType dtype) {
  const auto options = torch::dtype(dtype).device(c.device);
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  const int64_t shift = c.apart ? 1 : 0;
  return (torch::randint(-16, 17, {count + shift}, options) / 8).narrow(0, shift, count).view(shape);
}

// The chain of a row: its width and some; then results are rounded to the format, on a CPU twice where a
// gradient of the stream comes to one of the norm.
void check_case(const NormCase& c) {
  constexpr double eps = 1e-5, float_eps = 1.0 / (1 << 24);
  const double rounding = c.dtype == torch::kBFloat16 ? 1.0 / 256 : float_eps;
  const double chain = static_cast<double>(c.width + 8) * float_eps;
  const auto leaf = [&](torch::IntArrayRef shape, torch::ScalarType dtype) {
    return eighths(c, shape, dtype).detach().requires_grad_();
  };
  const auto x = leaf({1, c.rows, c.width}, c.dtype), weight = leaf({c.width}, c.dtype);
  const auto added =
      c.added_dtype == torch::ScalarType::Undefined ? Tensor() : leaf({1, c.rows, c.width}, c.added_dtype);
  const auto out = add_and_norm(x, added, weight, eps);
  const auto dstream = eighths(c, x.sizes(), c.dtype), dnormed = eighths(c, x.sizes(), c.dtype);
  const auto twin = reference::norm_of_sum(doubles(x), doubles(added), doubles(weight), eps, doubles(dstream),
                                           doubles(dnormed));
  CHECK(doubles(out.stream) == twin.stream);
  check_all(out.normed, twin.normed, rounding, chain * greatest(twin.normed));
  torch::autograd::backward({out.stream, out.normed}, {dstream, dnormed});
  // r w d and x r³ mean(w d x): |w d| is at most 4, |x| r at most √width, the mean of |x| r at most 1.
  const double summed = 2 + 4 * (1 + std::sqrt(static_cast<double>(c.width))) * greatest(twin.inverse_root);
  check_all(x.grad(), twin.dstream, 0,
            2 * rounding * (greatest(twin.dstream) + greatest(doubles(dstream))) + 2 * chain * summed);
  if (added.defined()) {
    CHECK(added.grad().scalar_type() == c.added_dtype);
    CHECK(torch::equal(added.grad(), x.grad().to(c.added_dtype)));
  }
  // A term is dnormed · stream / root, at most 2 √width.
  const double terms = static_cast<double>(c.rows) * 2 * std::sqrt(static_cast<double>(c.width));
  check_all(weight.grad(), twin.dweight, rounding, (chain + static_cast<double>(c.rows) * float_eps) * terms);
}

TEST_CASE("add_and_norm and its gradients are those of double precision, in each format and at odd sizes") {
  torch::manual_seed(1);
  struct Size {
    int64_t rows, width;
  };
  using Formats = std::pair<torch::ScalarType, torch::ScalarType>;
  for (const auto device : test::all_devices())
    for (const auto& [dtype, added] :
         {Formats{torch::kFloat32, torch::ScalarType::Undefined}, Formats{torch::kFloat32, torch::kFloat32},
          Formats{torch::kFloat32, torch::kBFloat16}, Formats{torch::kBFloat16, torch::ScalarType::Undefined},
          Formats{torch::kBFloat16, torch::kBFloat16}})
      for (const Size size :
           {Size{1, 1}, Size{3, 7}, Size{67, 24}, Size{5, 100}, Size{130, 896}, Size{66, 1031}, Size{2, 4104},
            Size{9, 2056}, Size{257, 520}, Size{300, 331}, Size{260, 2056}, Size{2200, 64}})
        for (const bool apart : {false, true}) {
          INFO(device << " " << dtype << " and " << added << ", rows " << size.rows << ", width " << size.width
                      << (apart ? ", apart" : ""));
          check_case({device, dtype, added, size.rows, size.width, apart});
        }
}

cuda::Format format_for(torch::ScalarType dtype) {
  return dtype == torch::kBFloat16 ? cuda::Format::bfloat16 : cuda::Format::float32;
}

TEST_CASE("the source of the kernel that norms few rows, run on the CPU, gives what loops give") {
  torch::manual_seed(6);
  constexpr double eps = 1e-5;
  for (const auto& [dtype, added_dtype] : {std::pair{torch::kFloat32, torch::kFloat32},
                                           {torch::kFloat32, torch::kBFloat16},
                                           {torch::kBFloat16, torch::kBFloat16}})
    for (const int64_t width : {1, 7, 24, 100, 513, 896, 1031, 2048, 2052, 2056, 4096, 4104, 8192, 12288})
      for (const bool sum : {false, true}) {
        const auto pack = static_cast<int64_t>(16 / torch::elementSize(dtype));
        if (width > 2048 * (width % pack == 0 ? pack : 1)) continue;
        INFO(dtype << " and " << added_dtype << ", width " << width << ", sum " << sum);
        const NormCase c{torch::kCPU, dtype, added_dtype, 3, width, false};
        const auto x = eighths(c, {3, width}, dtype), weight = eighths(c, {width}, dtype);
        const auto added = sum ? eighths(c, {3, width}, added_dtype) : Tensor();
        const auto stream = torch::full_like(x, 7), normed = torch::full_like(x, 7), r = torch::full({3}, 7.f);
        test::few_rows_norm_on_cpu(format_for(dtype), format_for(added_dtype),
                                   {.rows = 3, .width = width, .eps = static_cast<float>(eps)},
                                   {.x = x.const_data_ptr(),
                                    .added = sum ? added.const_data_ptr() : nullptr,
                                    .weight = weight.const_data_ptr(),
                                    .stream = stream.data_ptr(),
                                    .normed = normed.data_ptr(),
                                    .r = r.data_ptr<float>()});
        const auto zeros = doubles(torch::zeros_like(x));
        const auto twin =
            reference::norm_of_sum(doubles(x), doubles(added), doubles(weight), eps, zeros, zeros);
        CHECK(doubles(stream) == (sum ? twin.stream : doubles(torch::full_like(x, 7))));
        const double chain = static_cast<double>(width / 64 + 40) * 0x1p-24;
        check_all(normed, twin.normed, dtype == torch::kBFloat16 ? 0x1p-8 : 0x1p-24,
                  chain * greatest(twin.normed));
        check_all(r, twin.inverse_root, chain, 0);
      }
}

TEST_CASE("add_and_norm: only what is asked for gets a gradient, and an output that nobody uses costs none") {
  torch::manual_seed(2);
  for (const auto device : test::all_devices()) {
    const auto options = torch::dtype(torch::kFloat32).device(device);
    const auto x = torch::randn({5, 12}, options), weight = torch::randn({12}, options).requires_grad_();
    const auto fixed = add_and_norm(x, {}, weight, 1e-5);
    CHECK_FALSE(fixed.stream.requires_grad());
    fixed.normed.sum().backward();
    const auto exact = (x / (x.square().mean(-1, true) + 1e-5).sqrt()).sum(0);
    CHECK(torch::allclose(weight.grad(), exact, 1e-5, 1e-5));
    const auto added = torch::randn({5, 12}, options).requires_grad_();
    const auto sum = add_and_norm(x, added, weight.detach(), 1e-5);
    sum.stream.sum().backward();
    CHECK(torch::equal(added.grad(), torch::ones_like(x)));
    const auto leaf = x.clone().requires_grad_();
    add_and_norm(leaf, {}, weight.detach(), 1e-5).stream.sum().backward();
    CHECK(torch::equal(leaf.grad(), torch::ones_like(x)));
  }
}

TEST_CASE("add_and_norm without a graph gives the bits that it gives with one") {
  torch::manual_seed(3);
  for (const auto device : test::all_devices())
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      const auto options = torch::dtype(dtype).device(device);
      const auto x = torch::randn({3, 40}, options).requires_grad_(), added = torch::randn({3, 40}, options);
      const auto weight = torch::randn({40}, options);
      const auto with = add_and_norm(x, added, weight, 1e-5);
      const torch::NoGradGuard no_grad;
      const auto without = add_and_norm(x, added, weight, 1e-5);
      CHECK(torch::equal(with.stream, without.stream));
      CHECK(torch::equal(with.normed, without.normed));
    }
}

Tensor weight_gradient(const Tensor& x, const Tensor& weight, const Tensor& dnormed) {
  const auto leaf = weight.detach().requires_grad_();
  add_and_norm(x, {}, leaf, 1e-5).normed.backward(dnormed);
  return leaf.grad();
}

TEST_CASE("the gradient of a norm's weight has the same bits again, and with any number of threads") {
  torch::manual_seed(4);
  for (const auto device : test::all_devices()) {
    const auto options = torch::dtype(torch::kFloat32).device(device);
    const auto x = torch::randn({1003, 96}, options), dnormed = torch::randn({1003, 96}, options);
    const auto weight = torch::randn({96}, options), first = weight_gradient(x, weight, dnormed);
    const int threads = at::get_num_threads();
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      CHECK(torch::equal(weight_gradient(x, weight, dnormed), first));
    }
    at::set_num_threads(threads);
  }
}

TEST_CASE("add_and_norm in double precision is torch's") {
  torch::manual_seed(5);
  const auto x = torch::randn({2, 9}, torch::kFloat64), added = torch::randn({2, 9}, torch::kFloat64);
  const auto weight = torch::randn({9}, torch::kFloat64);
  const auto out = add_and_norm(x, added, weight, 1e-5);
  const auto twin =
      reference::norm_of_sum(doubles(x), doubles(added), doubles(weight), 1e-5, doubles(x), doubles(x));
  check_all(out.stream, twin.stream, 1e-15, 1e-15);
  check_all(out.normed, twin.normed, 1e-13, 1e-13);
}

}  // namespace
}  // namespace attnlab
