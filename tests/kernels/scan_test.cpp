// Mamba's recurrence in the kernel against the same in double precision on the CPU.
#include "kernels/scan.h"

#include <algorithm>

#include "attention/selective_scan.h"
#include "catch.h"
#include "kernels/fused.h"

namespace attnlab {
namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

constexpr int64_t kB = 2, kN = 2;

// x, step, A, B, C, D, state.
Tensors random_inputs(int64_t T, int64_t P, int64_t S) {
  const auto normal = [](torch::IntArrayRef sizes) { return torch::randn(sizes, torch::kFloat64); };
  // Steps as a trained layer has them: decays from hardly any to e^-8 a token.
  return {normal({kB, kN, T, P}),    (normal({kB, kN, T, P}) - 2).exp(),
          -normal({kN, P, S}).exp(), normal({kB, kN, T, S}),
          normal({kB, kN, T, S}),    normal({kN, P}),
          normal({kB, kN, P, S})};
}

// y, the last state, and the gradients of all inputs, on the CPU.
Tensors outcome(const Tensors& inputs, const Tensor& ids_BT, bool begun) {
  Tensors leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  const auto& in = leaves;
  const auto out = selective_scan({.x_BNTP = in[0],
                                   .step_BNTP = in[1],
                                   .A_NPS = in[2],
                                   .B_BNTS = in[3],
                                   .C_BNTS = in[4],
                                   .D_NP = in[5],
                                   .ids_BT = ids_BT,
                                   .state_BNPS = begun ? in[6] : Tensor()});
  (out.y_BNTP.cos().sum() + out.state_BNPS.sin().sum()).backward();
  Tensors all{out.y_BNTP.detach(), out.state_BNPS.detach()};
  for (size_t i = 0; i < leaves.size() - (begun ? 0 : 1); ++i)
    all.push_back(leaves[i].grad().defined() ? leaves[i].grad() : torch::zeros_like(leaves[i]));
  for (auto& each : all) each = each.to(torch::kCPU, torch::kFloat64);
  return all;
}

TEST_CASE("the kernel of Mamba's recurrence gives its outputs, states and gradients") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(5);
  // Numbers of a state in one thread and in several, channels that fill a warp and don't, one part of the
  // sequence and two.
  for (const auto& [T, P, S] : {std::tuple{int64_t{1}, int64_t{4}, int64_t{5}},
                                {63, 3, 16},
                                {111, 64, 64},
                                {96, 5, 200},
                                {1301, 8, 16}})
    for (const bool documents : {false, true})
      for (const bool begun : {false, true}) {
        const Tensors inputs = random_inputs(T, P, S);
        Tensor ids;
        if (documents) {
          auto starts = torch::zeros({kB, T}, torch::kInt64);
          for (const int64_t t : {int64_t{0}, T / 2, (T / 2 + 1) % T}) starts[1][t] = 1;
          ids = starts.cumsum(1);
        }
        Tensors on_gpu;
        for (const auto& input : inputs) on_gpu.push_back(input.to(torch::kCUDA, torch::kFloat32));
        REQUIRE(fits_scan(on_gpu[0], on_gpu[2]));
        const Tensors expected = outcome(inputs, ids, begun);
        const Tensors found = outcome(on_gpu, documents ? ids.to(torch::kCUDA) : ids, begun);
        for (size_t i = 0; i < expected.size(); ++i) {
          // Products of up to T decays, each rounded; gradients are sums over tokens, those of A over rows,
          // too.
          const double size = std::max(expected[i].abs().max().item<double>(), i < 2 ? 0.0 : 1.0);
          const double worst = (found[i] - expected[i]).abs().max().item<double>();
          INFO("T " << T << ", P " << P << ", S " << S << ", documents " << documents << ", begun " << begun
                    << ", tensor " << i << ": worst " << worst << " of " << size);
          CHECK(worst <= 2e-5 * size);
        }
      }
}

}  // namespace
}  // namespace attnlab
