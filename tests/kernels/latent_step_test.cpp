// What a decoding step does beside its matrices, against plain loops in double precision: of torch's
// operations, the kernel's source on the CPU, and the kernel on a GPU.
#include "kernels/latent_step.h"

#include <cmath>

#include "attention/rotary.h"
#include "catch.h"
#include "devices.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

struct StepShape {
  int64_t B, N, R, r, tables;
  bool normed, named_rows;
  RotaryPairs pairs;
};

std::vector<StepShape> step_shapes() {
  return {{3, 5, 37, 10, 3, true, true, RotaryPairs::neighbours},
          {1, 32, 512, 64, 1, true, false, RotaryPairs::halves},
          {4, 9, 300, 64, 1, false, true, RotaryPairs::neighbours},
          {2, 1, 1, 2, 2, false, false, RotaryPairs::halves},
          {16, 3, 8, 6, 16, true, false, RotaryPairs::neighbours}};
}

constexpr double kStepEps = 1e-6, kUntouchedStep = 7;

struct StepCase {
  LatentStep step;
  Tensor queries_BNW, cache_PC;  // what is written into
  Tensor q_out_BNr, out_PW, rows_B;
};

// Queries and token as one product leaves them, places as the queries of the latent and a cache have them.
StepCase step_case(const StepShape& s, torch::ScalarType dtype, torch::Device device) {
  const auto options = torch::dtype(dtype).device(device);
  const int64_t W = s.R + s.r, straight = 5, of_queries = s.N * (straight + s.r);
  const auto row = torch::randn({s.B, of_queries + W}, options);
  const auto positions = torch::randint(1000, {s.tables, 1}, options.dtype(torch::kInt64));
  const auto [cos, sin] =
      rotary_tables(positions, s.r, 1e4, dtype == torch::kFloat64 ? dtype : torch::kFloat32);
  StepCase c{.step = {.q_rope_BNr = row.narrow(1, 0, of_queries).view({s.B, s.N, -1}).narrow(2, straight, s.r),
                      .kv_BW = row.narrow(1, of_queries, W),
                      .norm_weight_R = s.normed ? torch::rand({s.R}, options) + 0.5 : Tensor(),
                      .eps = kStepEps,
                      .cos_Br = cos.squeeze(1),
                      .sin_Br = sin.squeeze(1),
                      .pairs = s.pairs},
             .queries_BNW = torch::full({s.B, s.N, W}, kUntouchedStep, options),
             .cache_PC = torch::full({s.named_rows ? 3 * s.B : s.B, W + 3}, kUntouchedStep, options),
             .q_out_BNr = {},
             .out_PW = {},
             .rows_B = {}};
  c.q_out_BNr = c.queries_BNW.narrow(2, s.R, s.r);
  c.out_PW = c.cache_PC.narrow(1, 2, W);
  if (s.named_rows) c.rows_B = torch::randperm(3 * s.B, torch::kInt64).narrow(0, 0, s.B).to(device);
  return c;
}

Tensor step_in_double(const Tensor& x) { return x.detach().to(torch::kCPU, torch::kFloat64).contiguous(); }

// Pairs turn and leave as halves.
void turn_by_loops(const double* x, const double* cos, const double* sin, RotaryPairs pairs, int64_t r,
                   double* out) {
  const int64_t half = r / 2;
  for (int64_t j = 0; j < half; ++j) {
    const bool halves = pairs == RotaryPairs::halves;
    const double x1 = x[halves ? j : 2 * j], x2 = x[halves ? half + j : 2 * j + 1];
    out[j] = x1 * cos[j] - x2 * sin[j];
    out[half + j] = x1 * sin[j] + x2 * cos[j];
  }
}

struct ByLoops {
  Tensor queries_BNr, token_BW;
};
ByLoops by_loops(const LatentStep& step) {
  const auto q = step_in_double(step.q_rope_BNr), kv = step_in_double(step.kv_BW),
             cos = step_in_double(step.cos_Br), sin = step_in_double(step.sin_Br);
  const int64_t B = q.size(0), N = q.size(1), r = q.size(2), W = kv.size(1), R = W - r;
  ByLoops out{torch::empty_like(q), torch::empty_like(kv)};
  for (int64_t b = 0; b < B; ++b) {
    const int64_t table = cos.size(0) == 1 ? 0 : b * r;
    const double *c = cos.const_data_ptr<double>() + table, *s = sin.const_data_ptr<double>() + table;
    for (int64_t n = 0; n < N; ++n)
      turn_by_loops(q.const_data_ptr<double>() + (b * N + n) * r, c, s, step.pairs, r,
                    out.queries_BNr.data_ptr<double>() + (b * N + n) * r);
    const double* x = kv.const_data_ptr<double>() + b * W;
    double* y = out.token_BW.data_ptr<double>() + b * W;
    double squares = 0;
    for (int64_t i = 0; i < R; ++i) squares += x[i] * x[i];
    const double root = std::sqrt(squares / static_cast<double>(R) + step.eps);
    const auto weight = step.norm_weight_R.defined() ? step_in_double(step.norm_weight_R) : Tensor();
    for (int64_t i = 0; i < R; ++i)
      y[i] = weight.defined() ? x[i] / root * weight.const_data_ptr<double>()[i] : x[i];
    turn_by_loops(x + R, c, s, step.pairs, r, y + R);
  }
  return out;
}

void check_written(const Tensor& found, const Tensor& exact, double limit) {
  const double greatest = exact.abs().max().item<double>();
  const double worst = (step_in_double(found) - exact).abs().max().item<double>();
  INFO("worst " << worst << " of values up to " << greatest);
  CHECK(worst <= limit * greatest);
}

// What was to be written is as the loops have it, and nothing else was touched. `limit`: of the greatest value.
void check_case(const StepCase& c, double limit) {
  const auto exact = by_loops(c.step);
  const int64_t R = c.queries_BNW.size(2) - c.q_out_BNr.size(2);
  check_written(c.q_out_BNr, exact.queries_BNr, limit);
  check_written(c.rows_B.defined() ? c.out_PW.index_select(0, c.rows_B) : c.out_PW, exact.token_BW, limit);
  CHECK(c.queries_BNW.narrow(2, 0, R).eq(kUntouchedStep).all().item<bool>());
  CHECK(c.cache_PC.narrow(1, 0, 2).eq(kUntouchedStep).all().item<bool>());
  CHECK(c.cache_PC.narrow(1, c.cache_PC.size(1) - 1, 1).eq(kUntouchedStep).all().item<bool>());
  if (!c.rows_B.defined()) return;
  auto others = torch::ones({c.out_PW.size(0)}, c.rows_B.options().dtype(torch::kBool));
  others.index_fill_(0, c.rows_B, false);
  CHECK(c.out_PW.index({others}).eq(kUntouchedStep).all().item<bool>());
}

// A sum of R squares and some products in the unit, then one rounding to the format; torch's operations round
// up to three times.
double limit_of(torch::ScalarType dtype, int64_t R, int roundings) {
  const double computed = dtype == torch::kFloat64 ? 0x1p-53 : 0x1p-24;
  const double format = dtype == torch::kBFloat16 ? 0x1p-8 : computed;
  return (static_cast<double>(R) / 2 + 8) * computed + roundings * format;
}

TEST_CASE("a decoding step over a latent, of torch's operations, is what plain loops give") {
  torch::manual_seed(31);
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16})
    for (const auto& shape : step_shapes()) {
      INFO("B " << shape.B << " N " << shape.N << " R " << shape.R << " r " << shape.r);
      const auto c = step_case(shape, dtype, torch::kCPU);
      CHECK_FALSE(fits_latent_step(c.step));
      take_latent_step(c.step, c.q_out_BNr, c.out_PW, c.rows_B);
      check_case(c, limit_of(dtype, shape.R, 3));
    }
}

TEST_CASE("the source of the decoding step's kernel, run on the CPU, gives what plain loops give") {
  torch::manual_seed(32);
  const torch::NoGradGuard no_grad;
  for (const auto& shape : step_shapes()) {
    INFO("B " << shape.B << " N " << shape.N << " R " << shape.R << " r " << shape.r);
    const auto c = step_case(shape, torch::kFloat32, torch::kCPU);
    const auto& [q, kv, weight, eps, cos, sin, pairs] = c.step;
    latent_step_on_cpu({.B = shape.B,
                        .heads = shape.N,
                        .rank = static_cast<int>(shape.R),
                        .rope = static_cast<int>(shape.r),
                        .q_b = q.stride(0),
                        .q_n = q.stride(1),
                        .kv_b = kv.stride(0),
                        .q_out_b = c.q_out_BNr.stride(0),
                        .q_out_n = c.q_out_BNr.stride(1),
                        .out_b = c.out_PW.stride(0),
                        .table_b = cos.size(0) == 1 ? 0 : cos.stride(0),
                        .eps = static_cast<float>(eps),
                        .in_pairs = pairs == RotaryPairs::neighbours,
                        .out_rows = c.rows_B.defined() ? c.rows_B.const_data_ptr<int64_t>() : nullptr},
                       {.q = q.const_data_ptr<float>(),
                        .kv = kv.const_data_ptr<float>(),
                        .weight = weight.defined() ? weight.const_data_ptr<float>() : nullptr,
                        .cos = cos.const_data_ptr<float>(),
                        .sin = sin.const_data_ptr<float>(),
                        .q_out = c.q_out_BNr.data_ptr<float>(),
                        .out = c.out_PW.data_ptr<float>()});
    check_case(c, limit_of(torch::kFloat32, shape.R, 1));
  }
}

TEST_CASE("a decoding step over a latent is one kernel of a GPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(33);
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
    for (const auto tables : {torch::kFloat32, dtype})
      for (const auto& shape : step_shapes()) {
        INFO("B " << shape.B << " N " << shape.N << " R " << shape.R << " r " << shape.r);
        auto c = step_case(shape, dtype, torch::kCUDA);
        c.step.cos_Br = c.step.cos_Br.to(tables), c.step.sin_Br = c.step.sin_Br.to(tables);
        CHECK(fits_latent_step(c.step));
        take_latent_step(c.step, c.q_out_BNr, c.out_PW, c.rows_B);
        check_case(c, limit_of(dtype, shape.R, 1));
      }
}

TEST_CASE("what the decoding step's kernel does not take") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  const auto c = step_case(step_shapes()[0], torch::kBFloat16, torch::kCUDA);
  {
    const torch::NoGradGuard no_grad;
    CHECK(fits_latent_step(c.step));
    auto other = c.step;
    other.norm_weight_R = other.norm_weight_R.to(torch::kFloat32);
    CHECK_FALSE(fits_latent_step(other));
    other = c.step;
    other.kv_BW = other.kv_BW.to(torch::kFloat32);
    CHECK_FALSE(fits_latent_step(other));
    other = c.step;
    other.cos_Br = other.cos_Br.narrow(1, 0, 8), other.sin_Br = other.sin_Br.narrow(1, 0, 8);
    CHECK_FALSE(fits_latent_step(other));
  }
  CHECK_FALSE(fits_latent_step(c.step));  // gradients are asked for
}

}  // namespace
}  // namespace attnlab::test
