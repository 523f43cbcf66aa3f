// Weights of capped scores and what comes back through them: torch's operations, the kernel's source on the
// CPU, and the kernel, against loops in double precision.
#include "kernels/capped_softmax.h"

#include <cmath>

#include "catch.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

// B = 2, G = 3, n = 2: rows of 5 queries and K keys.
constexpr int64_t kCappedB = 2, kCappedG = 3, kCappedN = 2, kCappedT = 5;

struct CappedProblem {
  CappedScores of;
  Tensor dweights;

  CappedProblem(int64_t K, const Tensor& hidden) {
    torch::manual_seed(7);
    of = {.scores_bRK = torch::randn({kCappedB * kCappedG, kCappedN * kCappedT, K}),
          .cap = 3,
          .B = kCappedB,
          .t = kCappedT,
          .hidden = hidden};
    dweights = torch::randn({kCappedB * kCappedG, kCappedN * kCappedT, K});
  }
  CappedProblem to(torch::Device device, torch::ScalarType dtype) const {
    CappedProblem out = *this;
    out.of.scores_bRK = of.scores_bRK.to(device, dtype);
    if (of.hidden.defined()) out.of.hidden = of.hidden.to(device);
    out.dweights = dweights.to(device, dtype);
    return out;
  }
};

// No mask; one of the last keys alone; one of all keys for each KV head; one with strides.
std::vector<Tensor> hidden_keys_of(int64_t K) {
  torch::manual_seed(9);
  auto some = torch::rand({kCappedB, kCappedG, 1, kCappedT, K}) < 0.5;
  some.select(-1, K / 2).fill_(false);  // no row without a key
  return {{},
          torch::ones({kCappedT, kCappedT}, torch::kBool).triu(1),
          some,
          some.transpose(3, 4).contiguous().transpose(3, 4)};
}

std::pair<Tensor, Tensor> by_loops(const CappedProblem& p) {
  const auto u = p.of.scores_bRK.to(torch::kFloat64), dp = p.dweights.to(torch::kFloat64);
  auto weights = torch::zeros_like(u), dscores = torch::zeros_like(u);
  const int64_t K = u.size(2);
  Tensor hidden;
  if (p.of.hidden.defined()) {
    const int64_t last = p.of.hidden.size(-1);
    hidden = torch::zeros({kCappedB, kCappedG, kCappedN, kCappedT, K}, torch::kBool);
    hidden.narrow(-1, K - last, last).copy_(p.of.hidden.expand({kCappedB, kCappedG, kCappedN, kCappedT, last}));
    hidden = hidden.view(u.sizes());
  }
  const auto at = u.accessor<double, 3>(), up = dp.accessor<double, 3>();
  auto w = weights.accessor<double, 3>(), d = dscores.accessor<double, 3>();
  for (int64_t b = 0; b < u.size(0); ++b)
    for (int64_t r = 0; r < u.size(1); ++r) {
      const auto seen = [&](int64_t key) { return !hidden.defined() || !hidden[b][r][key].item<bool>(); };
      double sum = 0, mean = 0;
      for (int64_t key = 0; key < K; ++key)
        if (seen(key)) sum += w[b][r][key] = std::exp(p.of.cap * std::tanh(at[b][r][key]));
      for (int64_t key = 0; key < K; ++key) mean += (w[b][r][key] /= sum) * up[b][r][key];
      for (int64_t key = 0; key < K; ++key) {
        const double tanh = std::tanh(at[b][r][key]);
        d[b][r][key] = w[b][r][key] * (up[b][r][key] - mean) * (1 - tanh * tanh);
      }
    }
  return {weights, dscores};
}

// Relative to the largest number: of float32, e^z with |z| ≤ 3, sums of up to 70 terms; of what is rounded at
// the end 2^-9.
void check_capped(const std::pair<Tensor, Tensor>& found, const std::pair<Tensor, Tensor>& expected,
                  double eps) {
  const auto check = [&](const Tensor& a, const Tensor& b) {
    const double worst = (a.to(torch::kCPU, torch::kFloat64) - b).abs().max().item<double>();
    CHECK(worst <= eps * b.abs().max().item<double>());
  };
  check(found.first, expected.first);
  check(found.second, expected.second);
}
constexpr double kOfFloats = 1e-5;

TEST_CASE("weights of capped scores and their gradients are those of loops, in the kernel's source, too") {
  for (const int64_t K : {5, 31, 70})
    for (const auto& mask : hidden_keys_of(K)) {
      CAPTURE(K, mask.defined() ? mask.dim() : 0);
      const CappedProblem p(K, mask);
      const auto expected = by_loops(p);
      const auto wide = p.to(torch::kCPU, torch::kFloat64);
      check_capped(capped_gradients(wide.of, wide.dweights, torch::kFloat64), expected, 1e-13);
      check_capped({capped_weights(wide.of, torch::kFloat64), expected.second}, expected, 1e-13);
      check_capped(capped_gradients(p.of, p.dweights, torch::kFloat32), expected, kOfFloats);
      auto weights = torch::full_like(p.dweights, NAN), dscores = torch::full_like(p.dweights, NAN);
      const auto hidden =
          mask.defined() ? mask.expand({kCappedB, kCappedG, kCappedN, kCappedT, mask.size(-1)}) : mask;
      cuda::CappedRows rows{.rows = kCappedB * kCappedG * kCappedN * kCappedT,
                            .K = K,
                            .G = kCappedG,
                            .n = kCappedN,
                            .t = kCappedT,
                            .cap = 3,
                            .hidden = nullptr,
                            .last = 0,
                            .stride_B = 0,
                            .stride_G = 0,
                            .stride_n = 0,
                            .stride_t = 0,
                            .stride_key = 0};
      if (mask.defined()) {
        rows.hidden = hidden.const_data_ptr<bool>(), rows.last = hidden.size(4);
        rows.stride_B = hidden.stride(0), rows.stride_G = hidden.stride(1), rows.stride_n = hidden.stride(2);
        rows.stride_t = hidden.stride(3), rows.stride_key = hidden.stride(4);
      }
      capped_softmax_on_cpu(rows, p.of.scores_bRK.data_ptr<float>(), p.dweights.data_ptr<float>(),
                            weights.data_ptr<float>(), dscores.data_ptr<float>());
      check_capped({weights, dscores}, expected, kOfFloats);
      weights.fill_(NAN);
      capped_softmax_on_cpu(rows, p.of.scores_bRK.data_ptr<float>(), nullptr, weights.data_ptr<float>(),
                            nullptr);
      check_capped({weights, dscores}, expected, kOfFloats);
    }
}

TEST_CASE("on a GPU the kernel of capped scores gives the weights and gradients of loops") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  for (const int64_t K : {5, 31, 70, 1000})
    for (const auto& mask : hidden_keys_of(K))
      for (const auto format : {torch::kFloat32, torch::kBFloat16}) {
        CAPTURE(K, mask.defined() ? mask.dim() : 0, c10::toString(format));
        const CappedProblem p(K, mask);
        const auto expected = by_loops(p);
        const auto there = p.to(torch::kCUDA, torch::kFloat32);
        const double eps = format == torch::kFloat32 ? kOfFloats : 0x1p-8;
        check_capped(capped_gradients(there.of, there.dweights, format), expected, eps);
        check_capped({capped_weights(there.of, format), expected.second}, expected, eps);
      }
}

}  // namespace
}  // namespace attnlab::test
