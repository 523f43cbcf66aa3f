// The kernels that linear attention and Mamba take beside their recurrences: the pair of softmaxes and the
// short convolution, on the CPU and on a GPU, against torch's operations in double precision.
#include <cmath>

#include "attention/recurrence.h"
#include "catch.h"
#include "kernels/fused.h"
#include "kernels/output_gate.h"
#include "kernels/short_conv.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

void check_each(const Tensors& expected, const Tensors& found, double relative) {
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const double size = std::max(1.0, expected[i].abs().max().item<double>());
    const double worst = (found[i].to(torch::kCPU, torch::kFloat64) - expected[i]).abs().max().item<double>();
    INFO("tensor " << i << ": worst " << worst << " of " << size);
    CHECK(worst <= relative * size);
  }
}

constexpr double kLeast = 1e-6;

// The pair and y's gradient, of y and the gradient of the pair.
Tensors pair_by_torch(const Tensor& y, const Tensor& dout) {
  const auto leaf = y.detach().clone().requires_grad_();
  const auto out = paired_softmax(leaf, kLeast);
  out.backward(dout);
  return {out.detach(), leaf.grad()};
}

// expf is good to 2 units in the last place here, sums have up to 256 terms; the gradient takes what was raised
// to kLeast for kLeast.
constexpr double kOfPairs = 5e-6;

TEST_CASE("the source of the kernel of two softmaxes, run on the CPU, gives them and their gradient") {
  torch::manual_seed(4);
  for (const int64_t width : {1, 31, 64}) {
    const auto y = 6 * torch::randn({37, width}), dout = torch::randn({37, 2 * width});
    auto out = torch::full({37, 2 * width}, NAN), dy = torch::full({37, width}, NAN);
    paired_softmax_on_cpu(y.data_ptr<float>(), out.data_ptr<float>(), 37, static_cast<int>(width), kLeast);
    paired_softmax_backward_on_cpu(out.data_ptr<float>(), dout.data_ptr<float>(), dy.data_ptr<float>(), 37,
                                   static_cast<int>(width), kLeast);
    check_each(pair_by_torch(y.to(torch::kFloat64), dout.to(torch::kFloat64)), {out, dy}, kOfPairs);
  }
}

TEST_CASE("two softmaxes in one kernel of a GPU are torch's") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(5);
  for (const int64_t width : {1, 31, 64, 65, 256}) {
    INFO("width " << width);
    const auto y = 6 * torch::randn({3, 37, width}), dout = torch::randn({3, 37, 2 * width});
    check_each(pair_by_torch(y.to(torch::kFloat64), dout.to(torch::kFloat64)),
               pair_by_torch(y.to(torch::kCUDA), dout.to(torch::kCUDA)), kOfPairs);
  }
}

struct ConvCase {
  Tensor x_BTC, weight_CK, bias_C, ids_BT, dy_BTC;
};

ConvCase conv_case(int64_t T, int64_t C, int64_t K, bool documents) {
  ConvCase of{.x_BTC = torch::randn({2, T, C}),
              .weight_CK = torch::randn({C, K}),
              .bias_C = torch::randn({C}),
              .ids_BT = {},
              .dy_BTC = torch::randn({2, T, C})};
  if (!documents) return of;
  auto starts = torch::zeros({2, T}, torch::kInt64);
  for (const int64_t t : {int64_t{0}, T / 2, (T / 2 + 1) % T, T - 1}) starts[1][t] = 1;
  of.ids_BT = starts.cumsum(1);
  return of;
}

// y, the last inputs, and the gradients of x, weight and bias.
Tensors conv_by_torch(const ConvCase& of, torch::Device device, torch::ScalarType type,
                      torch::ScalarType x_type) {
  const auto leaf = [&](const Tensor& x, torch::ScalarType to) {
    return x.detach().to(device, to).requires_grad_();
  };
  const auto x = leaf(of.x_BTC, x_type), weight = leaf(of.weight_CK, type), bias = leaf(of.bias_C, type);
  const Segments segments{.valid_BT = {}, .ids_BT = of.ids_BT.defined() ? of.ids_BT.to(device) : of.ids_BT};
  const auto out = short_convolution(x, weight, bias, {}, segments);
  out.y_BTC.backward(of.dy_BTC.to(out.y_BTC.options()));
  return {out.y_BTC.detach(), out.last_BKC.detach(), x.grad(), weight.grad(), bias.grad()};
}

TEST_CASE("the source of the kernel of Mamba's convolution, run on the CPU, gives outputs and gradients") {
  torch::manual_seed(6);
  for (const bool documents : {false, true})
    for (const int64_t T : {1, 2, 7, 29}) {
      INFO("T " << T << ", documents " << documents);
      const auto of = conv_case(T, 8, 4, documents);
      const int64_t run = 5, runs = (T + run - 1) / run;
      const auto begins = documents ? beginnings(of.ids_BT) : Tensor();
      const ConvOnCpu conv{.B = 2,
                           .T = T,
                           .C = 8,
                           .run = run,
                           .x = of.x_BTC.data_ptr<float>(),
                           .w = of.weight_CK.data_ptr<float>(),
                           .bias = of.bias_C.data_ptr<float>(),
                           .begins = documents ? begins.data_ptr<bool>() : nullptr};
      auto y = torch::full_like(of.x_BTC, NAN), dx = torch::full_like(y, NAN),
           partial = torch::full({2 * runs, 5, 8}, NAN);
      short_conv_on_cpu(conv, y.data_ptr<float>());
      short_conv_backward_on_cpu(conv, of.dy_BTC.data_ptr<float>(), dx.data_ptr<float>(),
                                 partial.data_ptr<float>());
      auto expected = conv_by_torch(of, torch::kCPU, torch::kFloat64, torch::kFloat64);
      expected.erase(expected.begin() + 1);  // the last inputs are no kernel's
      const auto sums = partial.sum(0);
      // Sums of 5 terms, and of up to 58 tokens.
      check_each(expected, {y, dx, sums.narrow(0, 0, 4).t(), sums.select(0, 4)}, 4e-6);
    }
}

TEST_CASE("Mamba's convolution in a kernel of a GPU is torch's, in each format") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(7);
  for (const bool half : {false, true})
    for (const bool documents : {false, true})
      for (const int64_t K : {2, 3, 4})
        for (const int64_t T : {1, 2, 63, 300}) {
          INFO("T " << T << ", K " << K << ", documents " << documents << ", bfloat16 " << half);
          auto of = conv_case(T, 36, K, documents);
          const auto type = half ? torch::kBFloat16 : torch::kFloat32;
          of.x_BTC = of.x_BTC.to(type);
          REQUIRE(fits_short_conv(of.x_BTC.to(torch::kCUDA), of.weight_CK));
          // Sums of up to 600 tokens; x's gradient has 8 bits in bfloat16.
          check_each(conv_by_torch(of, torch::kCPU, torch::kFloat64, torch::kFloat64),
                     conv_by_torch(of, torch::kCUDA, torch::kFloat32, type), half ? 0x1p-8 : 2e-5);
        }
}

// y ⊙ silu(z) and both gradients.
Tensors gated_by_torch(const Tensor& y, const Tensor& z, const Tensor& dout) {
  const auto of_y = y.detach().to(torch::kFloat64).requires_grad_(),
             of_z = z.detach().to(torch::kFloat64).requires_grad_();
  const auto out = of_y * torch::silu(of_z);
  out.backward(dout.to(torch::kFloat64));
  return {out.detach(), of_y.grad(), of_z.grad()};
}

// z as a part of a wider product's rows.
struct GateCase {
  Tensor y, both, z, dout;

  explicit GateCase(int64_t width)
      : y(torch::randn({2, 37, width})),
        both(2 * torch::randn({2, 37, 2 * width})),
        z(both.narrow(2, width, width)),
        dout(torch::randn({2, 37, width})) {}
};

// The exponential is good to 2 units in the last place.
constexpr double kOfGates = 2e-6;

TEST_CASE("the source of the kernel of an output's gate, run on the CPU, gives it and its gradients") {
  torch::manual_seed(11);
  for (const int64_t width : {4, 36}) {
    const GateCase of(width);
    const GateOnCpu gate{.rows = 2 * 37,
                         .width = width,
                         .z_row = 2 * width,
                         .y = of.y.data_ptr<float>(),
                         .z = of.z.data_ptr<float>()};
    auto out = torch::full_like(of.y, NAN), dy = torch::full_like(of.y, NAN), dz = torch::full_like(of.y, NAN);
    output_gate_on_cpu(gate, out.data_ptr<float>());
    output_gate_backward_on_cpu(gate, of.dout.data_ptr<float>(), dy.data_ptr<float>(), dz.data_ptr<float>());
    check_each(gated_by_torch(of.y, of.z, of.dout), {out, dy, dz}, kOfGates);
  }
}

TEST_CASE("an output's gate in one kernel of a GPU is torch's") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(12);
  for (const auto type : {torch::kFloat32, torch::kBFloat16})
    for (const int64_t width : {4, 36, 896}) {
      INFO(type << ", width " << width);
      const GateCase of(width);
      const auto rounded = [&](const Tensor& x) { return x.to(type); };
      const auto y = of.y.to(torch::kCUDA).requires_grad_();
      const auto both = rounded(of.both).to(torch::kCUDA).requires_grad_();
      const auto z = both.narrow(2, width, width);
      REQUIRE(fits_output_gate(y, z));
      const auto out = output_gate(y, z);
      out.backward(rounded(of.dout).to(torch::kCUDA));
      check_each(gated_by_torch(of.y, rounded(of.z), rounded(of.dout)),
                 {out, y.grad(), both.grad().narrow(2, width, width)},
                 type == torch::kFloat32 ? kOfGates : 0x1p-8);
    }
}

}  // namespace
}  // namespace attnlab::test
