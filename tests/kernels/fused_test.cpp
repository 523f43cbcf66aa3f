// Kernels of our own against the same operations in double precision.
#include "kernels/fused.h"

#include <cmath>

#include "attention/rotary.h"
#include "catch.h"
#include "devices.h"

namespace attnlab {
namespace {

using torch::Tensor;

torch::TensorOptions on_gpu(torch::ScalarType dtype) { return torch::dtype(dtype).device(torch::kCUDA); }

#define NEEDS_KERNELS()                                  \
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU"); \
  REQUIRE(has_kernels(torch::empty({1}, on_gpu(torch::kFloat32))))

// Half a unit in the last place of the format.
double rounding(torch::ScalarType dtype) { return dtype == torch::kBFloat16 ? 1.0 / 256 : 1.0 / (1 << 24); }

// Results are computed in float32, in which __expf is good to about 2^-20 here, and rounded once to the format.
// `more`: of the greatest value, what else is rounded.
void check_near(const Tensor& found, const Tensor& exact, double more = 0) {
  const double limit = rounding(found.scalar_type()) + 4e-6;
  const auto wrong = (found.to(torch::kCPU, torch::kFloat64) - exact).abs() - limit * exact.abs();
  const double greatest = exact.abs().max().item<double>();
  INFO("worst " << wrong.max().item<double>() << ", limit " << limit << " of values up to " << greatest);
  CHECK(wrong.max().item<double>() <= (4e-6 + more) * greatest);
  CHECK(found.isfinite().all().item<bool>());
}

Tensor exact_of(const Tensor& x) { return x.detach().to(torch::kCPU, torch::kFloat64); }

TEST_CASE("gated_silu and its gradients: torch's operations on the CPU") {
  torch::manual_seed(1);
  const auto gate = torch::randn({3, 5}, torch::kFloat64).requires_grad_();
  const auto up = torch::randn({3, 5}, torch::kFloat64).requires_grad_();
  CHECK_FALSE(has_kernels(gate));
  const auto out = gated_silu(gate, up);
  const auto sigmoid = 1 / (1 + torch::exp(-gate.detach()));
  CHECK(torch::allclose(out, gate.detach() * sigmoid * up.detach(), 0, 1e-14));
  out.sum().backward();
  CHECK(torch::allclose(up.grad(), gate.detach() * sigmoid, 0, 1e-14));
}

TEST_CASE("gated_silu and its gradients are those of double precision, in each format and at odd sizes") {
  NEEDS_KERNELS();
  torch::manual_seed(2);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
    for (const int64_t width : {1, 7, 64, 4864}) {
      INFO("width " << width);
      const auto gate = (4 * torch::randn({3, width}, on_gpu(dtype))).detach().requires_grad_();
      const auto up = torch::randn({3, width}, on_gpu(dtype)).requires_grad_();
      const auto dout = torch::randn({3, width}, on_gpu(dtype));
      const auto g = exact_of(gate).requires_grad_(), u = exact_of(up).requires_grad_();
      const auto out = gated_silu(gate, up), exact = torch::silu(g) * u;
      out.backward(dout);
      exact.backward(exact_of(dout));
      check_near(out.detach(), exact.detach());
      check_near(up.grad(), u.grad());
      check_near(gate.grad(), g.grad());
    }
}

TEST_CASE("gated_silu_of_halves is gated_silu of the two, and its gradient theirs, on the CPU") {
  torch::manual_seed(8);
  const auto both = torch::randn({2, 3, 10}, torch::kFloat64).requires_grad_();
  const auto gate = both.detach().narrow(2, 0, 5).clone().requires_grad_();
  const auto up = both.detach().narrow(2, 5, 5).clone().requires_grad_();
  const auto dout = torch::randn({2, 3, 5}, torch::kFloat64);
  const auto out = gated_silu_of_halves(both), apart = gated_silu(gate, up);
  // exp is vectorised for some layouts.
  CHECK(torch::allclose(out, apart, 0, 1e-14));
  out.backward(dout);
  apart.backward(dout);
  CHECK(torch::allclose(both.grad(), torch::cat({gate.grad(), up.grad()}, 2), 0, 1e-14));
}

TEST_CASE(
    "gated_silu_of_halves and its gradient are those of double precision, in each format and at odd sizes") {
  NEEDS_KERNELS();
  torch::manual_seed(9);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
    for (const int64_t width : {1, 7, 12, 64, 4864, 11008}) {
      INFO("width " << width);
      const auto both = (4 * torch::randn({2, 3, 2 * width}, on_gpu(dtype))).detach().requires_grad_();
      const auto dout = torch::randn({2, 3, width}, on_gpu(dtype));
      const auto exact_both = exact_of(both).requires_grad_();
      const auto out = gated_silu_of_halves(both), exact = gated_silu_of_halves(exact_both);
      out.backward(dout);
      exact.backward(exact_of(dout));
      check_near(out.detach(), exact.detach());
      check_near(both.grad(), exact_both.grad());
      const torch::NoGradGuard no_grad;
      CHECK(torch::equal(gated_silu_of_halves(both), out));
      CHECK(torch::equal(out, gated_silu(both.narrow(2, 0, width), both.narrow(2, width, width))));
    }
}

// x as projections leave it: heads side by side, a part of a wider row.
Tensor strided_heads(int64_t B, int64_t N, int64_t T, int64_t H, const torch::TensorOptions& options) {
  const auto wide = torch::randn({B, T, N * H + 16}, options);
  return wide.narrow(2, 8, N * H).unflatten(2, {N, H}).transpose(1, 2);
}

// On a CPU up to two products are rounded before they are added. Of a pair's greatest value each number is at
// most √2.
double products_rounded(torch::Device device, torch::ScalarType dtype) {
  return device.is_cpu() ? 2 * std::sqrt(2.0) * rounding(dtype) : 0;
}

Tensor exact_rotation(const Tensor& x, const Tensor& cos, const Tensor& sin, RotaryPairs pairs) {
  return pairs == RotaryPairs::halves ? apply_rotary(x, exact_of(cos), exact_of(sin))
                                      : apply_rotary_to_pairs(x, exact_of(cos), exact_of(sin));
}

TEST_CASE("rotate_heads turns and turns back as in double precision, for any layout") {
  struct Shape {
    int64_t N, T, H, rotary;
  };
  torch::manual_seed(3);
  for (const auto device : test::all_devices())
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const auto tables : {torch::kFloat32, dtype})
        for (const auto pairs : {RotaryPairs::halves, RotaryPairs::neighbours})
          for (const Shape s :
               {Shape{3, 5, 6, 6}, Shape{2, 63, 64, 64}, Shape{1, 9, 80, 32}, Shape{4, 1, 10, 4}}) {
            if (pairs == RotaryPairs::neighbours && s.rotary != s.H) continue;
            INFO("H " << s.H << ", turned " << s.rotary << ", T " << s.T << ", pairs "
                      << static_cast<int>(pairs));
            const auto options = torch::dtype(dtype).device(device);
            const double more = products_rounded(device, dtype);
            const auto leaf = strided_heads(2, s.N, s.T, s.H, options).detach().requires_grad_();
            const auto positions = torch::randint(1000, {2, s.T}, options.dtype(torch::kInt64));
            const auto [cos, sin] = rotary_tables(positions, s.rotary, 1e4, tables);
            const auto exact_leaf = exact_of(leaf).requires_grad_();
            const auto out = rotate_heads(leaf, cos, sin, pairs);
            const auto exact = exact_rotation(exact_leaf, cos, sin, pairs);
            check_near(out.detach(), exact.detach(), more);
            const auto dout = torch::randn({2, s.T, s.N, s.H}, options).transpose(1, 2);
            out.backward(dout);
            exact.backward(exact_of(dout));
            check_near(leaf.grad(), exact_leaf.grad(), more);
          }
}

// As in mla_v2: a token's blocks stand at T, all at the token's position. The tables end where memory of other
// numbers starts.
TEST_CASE("rotate_heads: tables of one row or one sequence serve all of x, and nothing behind them is read") {
  struct Tables {
    int64_t B, T;
  };
  torch::manual_seed(5);
  for (const auto device : test::all_devices())
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const Tables size : {Tables{6, 1}, Tables{1, 1}, Tables{1, 4}, Tables{6, 4}}) {
        INFO("tables of " << size.B << " x " << size.T);
        const auto options = torch::dtype(dtype).device(device);
        const double more = products_rounded(device, dtype);
        const auto leaf = torch::randn({6, 3, 4, 64}, options).requires_grad_();
        const auto positions = torch::randint(1000, {size.B, size.T}, options.dtype(torch::kInt64));
        const auto [cos, sin] = rotary_tables(positions, 64, 1e4, torch::kFloat32);
        const auto before_nan = [&](const Tensor& table) {
          const auto nan = torch::full({8 * 64}, std::numeric_limits<float>::quiet_NaN(), table.options());
          return torch::cat({table.flatten(), nan}).narrow(0, 0, table.numel()).view(table.sizes());
        };
        const auto exact_leaf = exact_of(leaf).requires_grad_();
        const auto out = rotate_heads(leaf, before_nan(cos), before_nan(sin), RotaryPairs::halves);
        const auto exact = exact_rotation(exact_leaf, cos, sin, RotaryPairs::halves);
        check_near(out.detach(), exact.detach(), more);
        const auto dout = torch::randn({6, 3, 4, 64}, options);
        out.backward(dout);
        exact.backward(exact_of(dout));
        check_near(leaf.grad(), exact_leaf.grad(), more);
      }
}

TEST_CASE("rotate_queries_and_keys: both at once are what each is alone, keys where they are to stay") {
  NEEDS_KERNELS();
  torch::manual_seed(7);
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
    for (const int64_t T : {1, 5})
      for (const int64_t H : {6, 64}) {
        INFO("T " << T << " H " << H);
        const auto q = strided_heads(2, 7, T, H, on_gpu(dtype)), k = strided_heads(2, 2, T, H, on_gpu(dtype));
        const auto [cos, sin] =
            rotary_tables(torch::randint(1000, {2, T}, on_gpu(torch::kInt64)), H, 1e4, dtype);
        const auto cache = torch::full({2, T + 3, 2, H}, 7, on_gpu(dtype));
        const auto place = cache.narrow(1, 2, T).transpose(1, 2);
        CHECK(torch::equal(rotate_queries_and_keys(q, k, place, cos, sin),
                           rotate_heads(q, cos, sin, RotaryPairs::halves)));
        CHECK(torch::equal(place, rotate_heads(k, cos, sin, RotaryPairs::halves)));
        CHECK(cache.narrow(1, 0, 2).eq(7).all().item<bool>());
        CHECK(cache.narrow(1, T + 2, 1).eq(7).all().item<bool>());
        // Rows of a table that are named.
        const auto table = torch::full({9, 2, T, H}, 7, on_gpu(dtype));
        const auto rows = torch::tensor({6, 1}).to(torch::kCUDA);
        rotate_queries_and_keys(q, k, table, cos, sin, rows);
        CHECK(torch::equal(table.index_select(0, rows), place));
        CHECK(table.eq(7).all().item<bool>() == false);
        CHECK(table.narrow(0, 2, 4).eq(7).all().item<bool>());
        CHECK(table.narrow(0, 7, 2).eq(7).all().item<bool>());
      }
}

struct QueryShape {
  int64_t B, G, n, S, key_width, value_width;
};

Tensor exact_single_query(const Tensor& q_BGnH, const Tensor& k_BGSH, const Tensor& v_BGSW, const Tensor& mask,
                          double scale, double softcap) {
  auto scores = torch::matmul(exact_of(q_BGnH), exact_of(k_BGSH).transpose(2, 3)) * scale;
  if (softcap > 0) scores = softcap * torch::tanh(scores / softcap);
  if (mask.defined())
    scores = scores.masked_fill(mask.cpu().logical_not(), -std::numeric_limits<double>::infinity());
  return torch::matmul(torch::softmax(scores, -1), exact_of(v_BGSW));
}

// Keys and values as caches hold them: tokens of [G, width] numbers in longer memory, NaN behind the newest.
Tensor cached(const QueryShape& s, int64_t width, torch::ScalarType dtype) {
  const auto memory = torch::randn({s.B, s.S + 5, s.G, width}, on_gpu(dtype));
  memory.narrow(1, s.S, 5).fill_(std::numeric_limits<double>::quiet_NaN());
  return memory.narrow(1, 0, s.S).transpose(1, 2);
}

TEST_CASE("attend_single_query is softmax attention of double precision at any length, mask and group") {
  NEEDS_KERNELS();
  torch::manual_seed(6);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
    for (const QueryShape s : {QueryShape{1, 2, 7, 333, 64, 64}, QueryShape{3, 1, 32, 1, 128, 128},
                               QueryShape{2, 4, 1, 65, 80, 80}, QueryShape{2, 8, 4, 1000, 128, 128},
                               QueryShape{1, 3, 3, 77, 192, 128}, QueryShape{5, 1, 4, 129, 256, 256},
                               QueryShape{1, 1, 9, 20011, 64, 64}, QueryShape{2, 2, 2, 17, 8, 24}})
      for (const bool masked : {false, true})
        for (const double softcap : {0.0, 5.0}) {
          INFO("B " << s.B << " G " << s.G << " n " << s.n << " S " << s.S << " widths " << s.key_width << " "
                    << s.value_width << " masked " << masked << " softcap " << softcap);
          const auto q = torch::randn({s.B, s.G, s.n, s.key_width}, on_gpu(dtype));
          const auto k = cached(s, s.key_width, dtype), v = cached(s, s.value_width, dtype);
          REQUIRE(fits_single_query(q, k, v));
          Tensor mask;
          if (masked) {
            mask = torch::rand({s.B, 1, 1, s.S}, on_gpu(torch::kFloat32)) < 0.7;
            mask.select(3, s.S - 1).fill_(true);
          }
          const double scale = 1 / std::sqrt(static_cast<double>(s.key_width));
          const auto out = attend_single_query(q, k, v, mask, scale, softcap);
          check_near(out, exact_single_query(q, k, v, mask, scale, softcap));
          if (!masked) continue;
          const auto by_head = (torch::rand({1, s.G, 1, s.S}, on_gpu(torch::kFloat32)) < 0.5).logical_or(mask);
          check_near(attend_single_query(q, k, v, by_head, scale, softcap),
                     exact_single_query(q, k, v, by_head, scale, softcap));
        }
}

TEST_CASE("attend_single_query: what it does not take, and a query that may look nowhere") {
  NEEDS_KERNELS();
  const auto q = torch::randn({1, 1, 2, 64}, on_gpu(torch::kBFloat16));
  const auto k = torch::randn({1, 1, 9, 64}, on_gpu(torch::kBFloat16));
  CHECK(fits_single_query(q, k, k));
  CHECK_FALSE(fits_single_query(q, k, k.to(torch::kFloat32)));
  CHECK_FALSE(fits_single_query(q, k, k.narrow(3, 4, 8)));  // starts between accesses
  CHECK_FALSE(fits_single_query(q, k, k.narrow(3, 0, 12)));
  CHECK_FALSE(fits_single_query(q, k, torch::randn({1, 1, 9, 512}, q.options())));
  CHECK_FALSE(fits_single_query(q.detach().clone().requires_grad_(), k, k));
  const auto nowhere = torch::zeros({1, 1, 1, 9}, on_gpu(torch::kBool));
  CHECK(attend_single_query(q, k, k, nowhere, 1, 0).abs().max().item<double>() == 0);
}

TEST_CASE("cross_entropy_in_place: losses and gradients of double precision, also for great logits and caps") {
  NEEDS_KERNELS();
  torch::manual_seed(4);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
    for (const double softcap : {0.0, 30.0})
      for (const int64_t V : {2, 33, 4096, 151936}) {
        INFO("V " << V << ", softcap " << softcap);
        auto logits = (20 * torch::randn({5, V}, on_gpu(dtype))).detach();
        const auto targets = torch::randint(V, {5}, on_gpu(torch::kInt64));
        const auto z = exact_of(logits).requires_grad_();
        const auto capped = softcap > 0 ? softcap * torch::tanh(z / softcap) : z;
        const auto exact = at::cross_entropy_loss(capped, targets.cpu(), {}, at::Reduction::None);
        exact.sum().backward();
        const auto kept = logits.clone();
        const auto without = cross_entropy_in_place(logits, targets, softcap, false);
        CHECK(torch::equal(logits, kept));
        const auto losses = cross_entropy_in_place(logits, targets, softcap, true);
        CHECK(torch::equal(losses, without));
        check_near(losses, exact.detach());
        check_near(logits, z.grad());
      }
}

TEST_CASE("a logit that is not finite leaves a loss that is not") {
  NEEDS_KERNELS();
  auto logits = torch::zeros({2, 100}, on_gpu(torch::kFloat32));
  logits[1][3] = std::numeric_limits<float>::quiet_NaN();
  const auto targets = torch::zeros({2}, on_gpu(torch::kInt64));
  const auto losses = cross_entropy_in_place(logits, targets, 0, true).cpu();
  CHECK(losses[0].isfinite().item<bool>());
  CHECK_FALSE(losses[1].isfinite().item<bool>());
}

}  // namespace
}  // namespace attnlab
