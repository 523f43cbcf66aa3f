// Packed matrices that share an input.
#include "attention/side_by_side.h"
#include "catch.h"
#include "quantize/packed_matrix.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

void fill_packed_linear(Linear& linear, const Tensor& g_idx) {
  const torch::NoGradGuard no_grad;
  for (auto& part : linear->named_parameters(/*recurse=*/false)) {
    if (part.key() == "scales")
      part.value().uniform_(0.01, 0.02);
    else if (part.key() == "g_idx")
      part.value().copy_(g_idx);
    else if (part.key() != "bias")
      part.value().random_(0, int64_t{1} << 31);
  }
}

TEST_CASE("packed matrices whose inputs are in one order share what says so, and give what they gave") {
  torch::manual_seed(57);
  std::vector<Linear> linears;
  for (const int64_t out : {32, 64, 96}) {
    linears.emplace_back(64, out, true);
    linears.back()->hold_packed({.bits = 4, .group_size = 16, .desc_act = true});
    linears.back()->bias.set_data(torch::randn({out}));
  }
  const auto g_idx = torch::arange(64, torch::kInt32).floor_divide(16).index_select(0, torch::randperm(64));
  fill_packed_linear(linears[0], g_idx), fill_packed_linear(linears[1], g_idx);
  fill_packed_linear(linears[2], g_idx.flip(0));
  const torch::NoGradGuard no_grad;
  const auto x = torch::randn({3, 64});
  std::vector<Tensor> expected;
  for (auto& linear : linears) expected.push_back(linear->forward(x));
  for (auto& linear : linears) linear->sort_columns();
  SharedInput alike({linears[0], linears[1]}), other({linears[0], linears[2]});
  CHECK_FALSE(linears[0]->packed().order.is_same(linears[1]->packed().order));
  alike.lay_side_by_side(), other.lay_side_by_side();
  CHECK(linears[0]->packed().order.is_same(linears[1]->packed().order));
  CHECK_FALSE(linears[0]->packed().order.is_same(linears[2]->packed().order));
  CHECK_FALSE(alike.joined(x).defined());  // no kernel on a CPU
  for (size_t i = 0; i < 2; ++i) CHECK(torch::equal(alike.forward(x)[i], expected[i]));
  for (size_t i = 0; i < 2; ++i) CHECK(torch::equal(other.forward(x)[i], expected[2 * i]));
}

TEST_CASE("on a GPU packed matrices of one input are one product of a SharedInput") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(56);
  const torch::NoGradGuard no_grad;
  const auto g_idx = torch::arange(256, torch::kInt32).floor_divide(64).index_select(0, torch::randperm(256));
  std::vector<Linear> linears;
  for (const int64_t out : {64, 32}) {
    linears.emplace_back(256, out, true);
    linears.back()->hold_packed({.bits = 4, .group_size = 64, .desc_act = true});
    linears.back()->bias.set_data(torch::randn({out}));
    fill_packed_linear(linears.back(), g_idx);
    linears.back()->to(torch::kCUDA, torch::kBFloat16);
    linears.back()->sort_columns();
  }
  SharedInput both(linears);
  const auto x = torch::randn({5, 256}, torch::dtype(torch::kBFloat16).device(torch::kCUDA));
  CHECK_FALSE(both.joined(x).defined());
  both.lay_side_by_side();
  const auto y = both.joined(x);
  REQUIRE(y.defined());
  CHECK(torch::equal(y, torch::cat({linears[0]->forward(x), linears[1]->forward(x)}, -1)));
  CHECK(torch::equal(both.forward(x)[1], linears[1]->forward(x)));
  const auto wide = linears[0]->matrix(torch::kFloat32).to(torch::kFloat64);
  const auto exact = x.to(torch::kFloat64).matmul(wide.t()) + linears[0]->bias.to(torch::kFloat64);
  CHECK((y.narrow(-1, 0, 64).to(torch::kFloat64) - exact).abs().max().item<double>() <=
        0x1p-7 * exact.abs().max().item<double>());
  CHECK_FALSE(both.joined(x.repeat({4, 1})).defined());  // 20 rows
  linears[1]->forget_order();
  CHECK_FALSE(both.joined(x).defined());
}

}  // namespace
}  // namespace attnlab::test
