// Gated SiLU and cross-entropy in vectors of the CPU against double precision.
#include <ATen/Parallel.h>

#include <cmath>

#include "catch.h"
#include "kernels/cpu_kernels.h"

namespace attnlab {
namespace {

using torch::Tensor;

// e^x is good to 2e-7 of itself, and some ten operations follow that round to 6e-8 each. `sizes`: what is
// rounded, at most.
void check_close(const char* name, const Tensor& found, const Tensor& exact, double size) {
  const auto apart = (found.detach().to(torch::kFloat64) - exact.detach()).abs();
  INFO(name << ": worst " << apart.max().item<double>() << " of values up to " << size);
  CHECK(apart.isfinite().all().item<bool>());
  CHECK(apart.max().item<double>() <= 8e-7 * size);
}

TEST_CASE("gated SiLU on a CPU and its gradients are those of double precision, at any number of numbers") {
  torch::manual_seed(1);
  for (const int64_t n : {1, 7, 16, 31, 64, 515, 40000}) {
    CAPTURE(n);
    const auto gate = (30 * torch::randn({n})).requires_grad_(), up = torch::randn({n}).requires_grad_();
    const auto dout = torch::randn({n});
    const auto g = gate.detach().to(torch::kFloat64).requires_grad_(),
               u = up.detach().to(torch::kFloat64).requires_grad_();
    const auto out = cpu::gated_silu(gate, up), exact = torch::silu(g) * u;
    out.backward(dout);
    exact.backward(dout.to(torch::kFloat64));
    const double most = g.detach().abs().max().item<double>(), most_up = u.detach().abs().max().item<double>(),
                 most_dout = dout.abs().max().item<double>();
    check_close("out", out, exact, most * most_up);
    check_close("dgate", gate.grad(), g.grad(), most_up * most_dout * (1 + most));
    check_close("dup", up.grad(), u.grad(), most * most_dout);
  }
}

TEST_CASE("gated SiLU on a CPU takes views, and gates beyond what an exponential holds") {
  const auto gate = torch::tensor({-1000.f, -100.f, -90.f, 0.f, 90.f, 100.f, 1000.f}), up = torch::ones({7});
  const auto exact = torch::silu(gate.to(torch::kFloat64));
  check_close("large", cpu::gated_silu(gate, up), exact, 1);
  const auto wide = torch::randn({5, 12}), x = wide.narrow(1, 1, 6), y = wide.narrow(1, 6, 6);
  CHECK(torch::equal(cpu::gated_silu(x, y), cpu::gated_silu(x.contiguous(), y.contiguous())));
}

TEST_CASE("cross-entropy on a CPU and its gradient are those of double precision, at any vocabulary") {
  torch::manual_seed(2);
  for (const int64_t V : {1, 5, 16, 33, 1000}) {
    CAPTURE(V);
    auto logits = 20 * torch::randn({9, V});
    if (!cpu::has_cross_entropy(logits)) SKIP_TEST("no AVX2 that torch's kernels are taken for");
    logits[3] += 1000;
    const auto targets = torch::randint(0, V, {9}, torch::kInt64);
    const auto z = logits.to(torch::kFloat64).requires_grad_();
    const auto exact = at::cross_entropy_loss(z, targets, {}, at::Reduction::None);
    exact.sum().backward();
    auto scratch = logits.clone();
    check_close("loss alone", cpu::cross_entropy_in_place(scratch, targets, false), exact, 200);
    check_close("loss", cpu::cross_entropy_in_place(logits, targets, true), exact, 200);
    check_close("gradient", logits, z.grad(), 1);
  }
}

TEST_CASE("cross-entropy on a CPU refuses a target that is no token") {
  auto logits = torch::randn({2, 8});
  if (!cpu::has_cross_entropy(logits)) SKIP_TEST("no AVX2 that torch's kernels are taken for");
  CHECK_THROWS(cpu::cross_entropy_in_place(logits, torch::tensor({1, 8}, torch::kInt64), true));
}

}  // namespace
}  // namespace attnlab
