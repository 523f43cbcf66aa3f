// The loss in pieces against the same loss over whole logits.
#include "model/linear_cross_entropy.h"

#include "catch.h"
#include "model/logit_pieces.h"
#include "model/precision.h"

namespace attnlab {
namespace {

struct Problem {
  torch::Tensor hidden, weight, targets;
};

Problem make_problem(int64_t P, int64_t D, int64_t V, torch::ScalarType dtype) {
  torch::manual_seed(7);
  return {.hidden = torch::randn({P, D}, dtype).requires_grad_(),
          .weight = torch::randn({V, D}, dtype).requires_grad_(),
          .targets = torch::randint(V, {P}, torch::kInt64)};
}

torch::Tensor whole(const Problem& p, double softcap) {
  auto logits = torch::linear(p.hidden, p.weight);
  if (softcap > 0) logits = softcap * torch::tanh(logits / softcap);
  return at::cross_entropy_loss(logits, p.targets, {}, at::Reduction::Sum);
}

struct Gradients {
  torch::Tensor hidden, weight;
};

Gradients gradients(const Problem& p, const torch::Tensor& loss) {
  p.hidden.mutable_grad() = torch::Tensor();
  p.weight.mutable_grad() = torch::Tensor();
  (loss * 0.7).backward();
  return {p.hidden.grad().clone(), p.weight.grad().clone()};
}

double relative(const torch::Tensor& found, const torch::Tensor& expected) {
  return ((found - expected).norm() / expected.norm()).item<double>();
}

TEST_CASE("pieces of logits grow with the memory that a device has, whatever of it is free") {
  constexpr int64_t GiB = int64_t{1} << 30, bf16 = 2, float32 = 4;
  CHECK(logits_of_a_piece(0, float32) == 1 << 25);
  CHECK(logits_of_a_piece(8 * GiB, bf16) == 1 << 28);
  CHECK(logits_of_a_piece(80 * GiB, bf16) == 1 << 30);
  CHECK(logits_of_a_piece(80 * GiB, float32) == 1 << 29);
  CHECK(logits_of_a_piece(139 * GiB, float32) == 1 << 30);
  CHECK(logits_of_a_piece(1000 * GiB, bf16) == 1 << 30);
  CHECK(rows_of_a_piece(torch::empty({1 << 20, 1})) == 32);
  CHECK(rows_of_a_piece(torch::empty({1 << 20, 1}), 64) == 1);
}

TEST_CASE("the loss in pieces and its gradients are those of whole logits, whatever the pieces") {
  const Problem p = make_problem(23, 9, 31, torch::kFloat64);
  for (const double softcap : {0.0, 2.5}) {
    const auto expected = whole(p, softcap);
    const auto wanted = gradients(p, expected);
    for (const int64_t rows : {1, 7, 23, 100, 0}) {
      INFO("softcap " << softcap << ", pieces of " << rows);
      const auto loss = linear_cross_entropy(p.hidden, p.weight, p.targets, softcap, rows);
      // Double precision: 23 · 31 terms of size 10 leave some 1e-13 of the sums.
      CHECK(loss.item<double>() == Approx(expected.item<double>()).epsilon(1e-12));
      const auto found = gradients(p, loss);
      CHECK(relative(found.hidden, wanted.hidden) < 1e-12);
      CHECK(relative(found.weight, wanted.weight) < 1e-12);
    }
  }
}

TEST_CASE("float32 pieces are as near the exact loss as whole float32 logits, up to twice") {
  const Problem exact = make_problem(64, 48, 301, torch::kFloat64);
  Problem p{.hidden = exact.hidden.detach().to(torch::kFloat32).requires_grad_(),
            .weight = exact.weight.detach().to(torch::kFloat32).requires_grad_(),
            .targets = exact.targets};
  const auto wanted = gradients(exact, whole(exact, 0));
  const auto plain = gradients(p, whole(p, 0));
  const auto found = gradients(p, linear_cross_entropy(p.hidden, p.weight, p.targets, 0, 10));
  // The inputs' own rounding, 2⁻²⁴, is the floor of both.
  CHECK(relative(found.hidden, wanted.hidden) < 2 * relative(plain.hidden, wanted.hidden) + 1e-7);
  CHECK(relative(found.weight, wanted.weight) < 2 * relative(plain.weight, wanted.weight) + 1e-7);
}

TEST_CASE("only what is trained gets a gradient, and none is made without a graph") {
  Problem p = make_problem(12, 5, 17, torch::kFloat32);
  p.weight.requires_grad_(false);
  linear_cross_entropy(p.hidden, p.weight, p.targets, 0, 5).backward();
  CHECK(p.hidden.grad().defined());
  CHECK_FALSE(p.weight.grad().defined());
  const torch::NoGradGuard no_grad;
  const auto loss = linear_cross_entropy(p.hidden, p.weight, p.targets, 0, 5);
  CHECK_FALSE(loss.requires_grad());
  CHECK(loss.item<float>() == Approx(whole(p, 0).item<float>()).epsilon(1e-5));
}

TEST_CASE("under autocast products are in bfloat16 and the sums are not") {
  const Problem p = make_problem(40, 16, 57, torch::kFloat32);
  const double exact = whole(p, 0).item<double>();
  const auto exact_gradients = gradients(p, whole(p, 0));
  const PrecisionScope scope(Precision::bf16_mixed, torch::kCPU);
  const auto loss = linear_cross_entropy(p.hidden, p.weight, p.targets, 0, 16);
  CHECK(loss.scalar_type() == torch::kFloat32);
  CHECK(loss.item<double>() != exact);
  // Logits of size 4 err by some 2⁻⁸ of themselves, at random: 40 of them by 40^½ · 0.016 in the sum.
  CHECK(std::abs(loss.item<double>() - exact) < 4 * std::sqrt(40.0) * 4 / 256);
  const auto found = gradients(p, loss);
  CHECK(found.weight.scalar_type() == torch::kFloat32);
  CHECK(relative(found.weight, exact_gradients.weight) < 0.03);
  CHECK(relative(found.hidden, exact_gradients.hidden) < 0.03);
}

TEST_CASE("no positions have no loss") {
  const Problem p = make_problem(0, 5, 17, torch::kFloat32);
  const auto loss = linear_cross_entropy(p.hidden, p.weight, p.targets);
  CHECK(loss.item<float>() == 0);
  loss.backward();
  CHECK(p.weight.grad().abs().sum().item<float>() == 0);
}

}  // namespace
}  // namespace attnlab
