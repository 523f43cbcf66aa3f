// Capped scores in blocks of queries against the whole matrix of scores: outputs, gradients, memory.
#include "attention/attend_capped.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "state/sequence.h"
#include "support.h"
#include "train/live_memory.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

constexpr double kCap = 1.5;  // scores reach it

// By the definition, a key head for each query head.
Tensor whole_matrix(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale) {
  const int64_t times = q.size(1) / k.size(1), T = q.size(2), S = k.size(2);
  const auto keys = k.repeat_interleave(times, 1), values = v.repeat_interleave(times, 1);
  const auto scores = kCap * torch::tanh(torch::matmul(q, keys.transpose(2, 3)) * scale / kCap);
  auto allowed = mask;
  if (!allowed.defined() && T > 1) allowed = torch::ones({T, S}, torch::kBool).tril(S - T).to(q.device());
  if (allowed.defined() && allowed.dim() == 4 && allowed.size(1) > 1)
    allowed = allowed.repeat_interleave(q.size(1) / allowed.size(1), 1);
  return torch::matmul(torch::softmax(allowed.defined() ? scores.masked_fill(~allowed, -INFINITY) : scores, -1),
                       values);
}

struct CappedCase {
  int64_t B, N, G, T, S, H, Hv;
};

struct CappedInputs {
  Tensor q, k, v, upstream;
  CappedInputs(const CappedCase& c, torch::ScalarType dtype) {
    torch::manual_seed(41);
    // As heads of projections lie, tokens first.
    const auto heads = [&](int64_t T, int64_t n, int64_t H) {
      return torch::randn({c.B, T, n, H}, torch::kFloat64).to(dtype).transpose(1, 2);
    };
    q = heads(c.T, c.N, c.H), k = heads(c.S, c.G, c.H), v = heads(c.S, c.G, c.Hv);
    upstream = torch::randn({c.B, c.N, c.T, c.Hv}, torch::kFloat64).to(dtype);
  }
  CappedInputs to(torch::Device device, torch::ScalarType dtype) const {
    CappedInputs out = *this;
    for (auto* each : {&out.q, &out.k, &out.v, &out.upstream}) *each = each->to(device, dtype);
    return out;
  }
  template <class Forward>
  std::vector<Tensor> run(const Forward& forward) const {
    const auto leaf = [](const Tensor& x) { return x.detach().requires_grad_(); };
    const auto q_ = leaf(q), k_ = leaf(k), v_ = leaf(v);
    const auto out = forward(q_, k_, v_);
    auto all = torch::autograd::grad({out}, {q_, k_, v_}, {upstream});
    all.insert(all.begin(), out.detach());
    return all;
  }
};

std::vector<Tensor> in_blocks(const CappedInputs& in, const Tensor& mask, const Reach& reach, int64_t block) {
  return in.run([&](const auto& q, const auto& k, const auto& v) {
    return attend_capped(q, k, v, mask, {.scale = 0.7, .softcap = kCap}, reach, block);
  });
}

std::vector<Tensor> by_whole_matrix(const CappedInputs& in, const Tensor& mask) {
  return in.run([&](const auto& q, const auto& k, const auto& v) { return whole_matrix(q, k, v, mask, 0.7); });
}

// eps · (terms of a score, of softmax and its product, of a gradient's sum over the queries of a group's heads)
// · three for a backward pass · the largest number, at least 1.
void check_capped(const std::vector<Tensor>& found, const std::vector<Tensor>& expected, const CappedCase& c,
                  double eps) {
  const auto terms = static_cast<double>(c.H + 2 * c.S + c.T * c.N / c.G);
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    const auto wide = found[i].to(torch::kCPU, torch::kFloat64);
    CHECK(close(wide, expected[i], 3 * terms * eps * std::max(1.0, expected[i].abs().max().item<double>())));
  }
}

const std::vector<CappedCase>& odd_cases() {
  static const std::vector<CappedCase> cases{{1, 1, 1, 1, 1, 6, 6},
                                             {2, 6, 2, 63, 63, 10, 10},
                                             {3, 3, 1, 111, 111, 8, 5},
                                             {1, 4, 4, 37, 37, 12, 7},
                                             {2, 4, 2, 5, 29, 6, 6}};
  return cases;
}

TEST_CASE("capped scores in blocks have the outputs and gradients of the whole matrix, causally") {
  const double eps = std::numeric_limits<double>::epsilon();
  for (const auto& c : odd_cases()) {
    const CappedInputs in(c, torch::kFloat64);
    const auto expected = by_whole_matrix(in, {});
    for (const int64_t block : {1, 16, 256}) {
      CAPTURE(c.T, c.S, block);
      check_capped(in_blocks(in, {}, {}, block), expected, c, eps);
    }
    const auto single = in.to(torch::kCPU, torch::kFloat32);
    check_capped(in_blocks(single, {}, {}, 16), expected, c, std::numeric_limits<float>::epsilon());
  }
}

TEST_CASE("capped scores in blocks heed masks of rows, of KV heads and of query heads") {
  torch::manual_seed(43);
  for (const auto& c : odd_cases())
    for (const int64_t rows : {int64_t{1}, c.B})
      for (const int64_t heads : {int64_t{1}, c.G, c.N}) {
        CAPTURE(c.T, rows, heads);
        auto mask = torch::rand({rows, heads, c.T, c.S}) < 0.4;
        mask.diagonal(c.S - c.T, 2, 3).fill_(true);
        const CappedInputs in(c, torch::kFloat64);
        check_capped(in_blocks(in, mask, {}, 16), by_whole_matrix(in, mask), c,
                     std::numeric_limits<double>::epsilon());
      }
}

Sequence sequence_of(const CappedCase& c, SequenceParts parts) {
  parts.T = c.T;
  parts.windows = {9};
  return Sequence(std::move(parts));
}

// What a layer with a window or without one gives `attend`, with its reach.
TEST_CASE("capped scores pass over keys behind a window's reach, with padding and isolated documents, too") {
  const CappedCase c{3, 4, 2, 45, 45, 6, 6};
  const CappedInputs in(c, torch::kFloat64);
  const auto columns = torch::arange(c.T).expand({c.B, c.T});
  const std::vector<SequenceParts> kinds{
      {}, {.padding_B1 = torch::tensor({{0}, {13}, {44}})}, {.document_positions_BT = columns % 19}};
  for (const auto& parts : kinds)
    for (const int64_t window : {0, 9}) {
      const auto mask = sequence_of(c, parts).mask(window, c.T);
      CAPTURE(window, mask.defined());
      const auto expected = by_whole_matrix(in, mask);
      for (const int64_t block : {4, 16})
        check_capped(in_blocks(in, mask, {.causal = true, .window = window}, block), expected, c,
                     std::numeric_limits<double>::epsilon());
    }
  // The reach is used: one that is too narrow shows.
  const auto mask = sequence_of(c, {}).mask(9, c.T);
  CHECK_FALSE(
      torch::allclose(in_blocks(in, mask, {.causal = true, .window = 5}, 4)[0], by_whole_matrix(in, mask)[0]));
}

TEST_CASE("capped scores in bfloat16 are near those of double precision") {
  for (const auto& c : odd_cases()) {
    const auto in = CappedInputs(c, torch::kBFloat16), wide = in.to(torch::kCPU, torch::kFloat64);
    const auto expected = by_whole_matrix(wide, {});
    const auto found = in_blocks(in, {}, {.causal = true}, 16);
    for (size_t i = 0; i < found.size(); ++i) {
      CAPTURE(c.T, i);
      CHECK(found[i].scalar_type() == torch::kBFloat16);
      // A score of up to √H deviations is rounded to 2^-9 of itself before the cap, weights, values' sums and
      // the gradient of the scores once each.
      CHECK(close(found[i].to(torch::kFloat64), expected[i],
                  8 * 0x1p-9 * std::max(1.0, expected[i].abs().max().item<double>())));
    }
  }
}

TEST_CASE("training with capped scores holds a block of them, forward and back, and nothing between") {
  const CappedCase c{1, 2, 1, 1024, 1024, 8, 8};
  const CappedInputs in(c, torch::kFloat32);
  auto& memory = CountingAllocator::instance();
  const int64_t one_matrix = c.N * c.T * c.S * 4, block = 64;
  const auto step = [&](const auto& forward) { return memory.peak_of([&] { in.run(forward); }); };
  const int64_t blocks = step([&](const auto& q, const auto& k, const auto& v) {
    return attend(q, k, v, {}, {.softcap = kCap}).mul(1);
  });
  const int64_t small = step([&](const auto& q, const auto& k, const auto& v) {
    return attend_capped(q, k, v, {}, {.softcap = kCap}, {}, block);
  });
  const int64_t whole =
      step([&](const auto& q, const auto& k, const auto& v) { return whole_matrix(q, k, v, {}, 0.35); });
  CAPTURE(blocks, small, whole, one_matrix);
  CHECK(whole > 3 * one_matrix);
  // Scores, their tanh, weights, and the gradients of these: eight of a block at most, beside what is as large
  // as the inputs.
  CHECK(small < 8 * one_matrix * block / c.T + 16 * c.N * c.T * c.H * 4);
  CHECK(blocks < 8 * one_matrix * 256 / c.T + 16 * c.N * c.T * c.H * 4);
}

TEST_CASE("on a GPU capped scores train as in double precision on a CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  for (const auto& c : odd_cases())
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      CAPTURE(c.T, c10::toString(dtype));
      const auto in = CappedInputs(c, dtype).to(torch::kCUDA, dtype);
      const auto expected = by_whole_matrix(in.to(torch::kCPU, torch::kFloat64), {});
      const auto found = in_blocks(in, {}, {.causal = true}, 16);
      if (dtype == torch::kFloat32) {
        check_capped(found, expected, c, std::numeric_limits<float>::epsilon());
        continue;
      }
      for (size_t i = 0; i < found.size(); ++i)
        CHECK(close(found[i].to(torch::kCPU, torch::kFloat64), expected[i],
                    8 * 0x1p-9 * std::max(1.0, expected[i].abs().max().item<double>())));
    }
}

}  // namespace
}  // namespace attnlab::test
