// Causal attention in vectors of the CPU against loops in double precision.
#include "kernels/causal_attention.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <cmath>

#include "catch.h"
#include "reference/causal_twin.h"

namespace attnlab {
namespace {

using reference::CausalShape;
using torch::Tensor;

std::vector<double> doubles_of(const Tensor& x) {
  const auto exact = x.detach().to(torch::kFloat64).contiguous();
  return {exact.const_data_ptr<double>(), exact.const_data_ptr<double>() + exact.numel()};
}

void check_within(const char* name, const Tensor& found, const std::vector<double>& exact, double limit) {
  const auto values = doubles_of(found);
  REQUIRE(values.size() == exact.size());
  double worst = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double apart = std::abs(values[i] - exact[i]);
    worst = std::isnan(apart) ? INFINITY : std::max(worst, apart);
  }
  INFO(name << ": worst " << worst << ", limit " << limit);
  CHECK(worst <= limit);
}

constexpr double eps = 1.0 / (1 << 24);

// [B, heads, T, H], numbers from -1 to 1, in the layout that projections leave, or a head's tokens side by
// side.
Tensor numbers(const CausalShape& shape, size_t heads, bool by_token) {
  const auto B = static_cast<int64_t>(shape.B), T = static_cast<int64_t>(shape.T),
             H = static_cast<int64_t>(shape.H), n = static_cast<int64_t>(heads);
  const auto x =
      by_token ? torch::rand({B, T, n + 1, H}).narrow(2, 1, n).transpose(1, 2) : torch::rand({B, n, T, H});
  return x.detach().mul_(2).sub_(1).set_requires_grad(true);
}

struct CausalCase {
  CausalCase(const CausalShape& shape, bool by_token)
      : q(numbers(shape, shape.N, by_token)),
        k(numbers(shape, shape.G, by_token)),
        v(numbers(shape, shape.G, by_token)),
        dout(numbers(shape, shape.N, !by_token).detach()) {}
  Tensor q, k, v, dout;
};

#define NEEDS_VECTORS()                                                              \
  if (!fits_causal_attention(torch::ones({1, 1, 2, 32}), torch::ones({1, 1, 2, 32}), \
                             torch::ones({1, 1, 2, 32})))                            \
  SKIP_TEST("no AVX2 that torch's kernels are taken for")

// A score is off by (H + 3) eps of the sum of its terms' sizes, at most scale · H here; a share by twice that
// of itself, for numerator and sum, by 2e-7 for the exponential, and by T eps for the sum. What sums it up is
// off by as much of the sum of what it weighs, and T + H roundings.
void check_case(const CausalShape& shape, bool by_token) {
  CAPTURE(shape.B, shape.N, shape.G, shape.T, shape.H, by_token);
  const auto H = static_cast<double>(shape.H), T = static_cast<double>(shape.T);
  const double scale = 1.7 / std::sqrt(H), heads = static_cast<double>(shape.N / shape.G);
  const CausalCase c(shape, by_token);
  REQUIRE(fits_causal_attention(c.q, c.k, c.v));
  const auto out = causal_attention(c.q, c.k, c.v, scale);
  out.backward(c.dout);
  const auto twin = reference::causal_attention(shape, scale, doubles_of(c.q), doubles_of(c.k), doubles_of(c.v),
                                                doubles_of(c.dout));
  const double share = 2 * (H + 3) * eps * scale * H + 2e-7 + 2 * (T + H) * eps;
  check_within("out", out, twin.out, share);
  check_within("dv", c.v.grad(), twin.dv, share * twin.most_looks * heads);
  // A share's gradient is at most H, and so is its mean, of which each is off by as much.
  const double dscore = 4 * share * scale * H;
  check_within("dq", c.q.grad(), twin.dq, dscore);
  check_within("dk", c.k.grad(), twin.dk, dscore * twin.most_looks * heads);
}

TEST_CASE("causal attention and its gradients are those of plain loops, at odd lengths and grouped heads") {
  NEEDS_VECTORS();
  torch::manual_seed(1);
  for (const bool by_token : {false, true}) {
    for (const size_t T : {2, 8, 9, 63, 64, 111, 200}) check_case({1, 4, 2, T, 32}, by_token);
    check_case({3, 3, 3, 65, 64}, by_token);
    check_case({2, 6, 1, 31, 96}, by_token);
    check_case({1, 2, 1, 40, 256}, by_token);
  }
}

TEST_CASE("causal attention of large scores does not overflow") {
  NEEDS_VECTORS();
  torch::manual_seed(2);
  const CausalCase c({1, 2, 1, 70, 32}, true);
  const auto large = (1000 * c.q).detach().requires_grad_();
  const auto out = causal_attention(large, c.k, c.v, 1);
  out.backward(c.dout);
  const auto exact = at::scaled_dot_product_attention(large.to(torch::kFloat64), c.k.to(torch::kFloat64),
                                                      c.v.to(torch::kFloat64), {}, 0.0, true, 1.0, true);
  // Scores up to 32,000 are off by 35 eps of that.
  check_within("out", out, doubles_of(exact), 2 * 35 * eps * 32000);
  CHECK(large.grad().isfinite().all().item<bool>());
  CHECK(c.k.grad().isfinite().all().item<bool>());
}

TEST_CASE("causal attention gives the same bits for any number of threads, with and without gradients") {
  NEEDS_VECTORS();
  const int before = at::get_num_threads();
  std::vector<std::vector<Tensor>> found;
  for (const int threads : {1, 2, 3, 8}) {  // with 8 heads of a group are apart
    at::set_num_threads(threads);
    torch::manual_seed(3);
    const CausalCase c({2, 6, 3, 75, 32}, true);
    const auto out = causal_attention(c.q, c.k, c.v, 0.2);
    out.backward(c.dout);
    const torch::NoGradGuard no_grad;
    CHECK(torch::equal(out, causal_attention(c.q, c.k, c.v, 0.2)));
    found.push_back({out.detach(), c.q.grad(), c.k.grad(), c.v.grad()});
  }
  at::set_num_threads(before);
  for (size_t i = 1; i < found.size(); ++i)
    for (size_t j = 0; j < found[i].size(); ++j) CHECK(torch::equal(found[i][j], found[0][j]));
}

TEST_CASE("causal attention takes float32 alone, whole heads, and as many keys as queries") {
  const auto x = [](int64_t heads, int64_t T, int64_t H) { return torch::ones({1, heads, T, H}); };
  CHECK_FALSE(fits_causal_attention(x(2, 8, 24), x(2, 8, 24), x(2, 8, 24)));
  CHECK_FALSE(fits_causal_attention(x(2, 8, 32), x(2, 9, 32), x(2, 9, 32)));
  CHECK_FALSE(fits_causal_attention(x(3, 8, 32), x(2, 8, 32), x(2, 8, 32)));
  CHECK_FALSE(fits_causal_attention(x(2, 8, 32), x(2, 8, 32), x(2, 8, 64)));
  const auto wide = x(2, 8, 32).to(torch::kFloat64), half = x(2, 8, 32).to(torch::kBFloat16);
  CHECK_FALSE(fits_causal_attention(wide, wide, wide));
  CHECK_FALSE(fits_causal_attention(half, half, half));
  at::autocast::set_autocast_enabled(at::kCPU, true);
  CHECK_FALSE(fits_causal_attention(x(2, 8, 32), x(2, 8, 32), x(2, 8, 32)));
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

}  // namespace
}  // namespace attnlab
