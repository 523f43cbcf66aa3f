// The losses of a student and its teacher in pieces, against plain loops over whole logits.
#include "model/linear_distillation.h"

#include "catch.h"
#include "model/divergence.h"
#include "model/linear_cross_entropy.h"
#include "model/precision.h"
#include "reference/divergence_twin.h"

namespace attnlab {
namespace {

using test::Numbers;

constexpr int64_t kPositions = 9, kVocabulary = 13;

struct Sides {
  OutputSide student, teacher;
  torch::Tensor targets;
};

Sides make_sides(torch::ScalarType dtype, double softcap = 0) {
  torch::manual_seed(11);
  const auto random = [&](int64_t rows, int64_t columns) { return torch::randn({rows, columns}, dtype); };
  return {.student = {random(kPositions, 5).requires_grad_(), random(kVocabulary, 5).requires_grad_(), softcap},
          .teacher = {random(kPositions, 7), random(kVocabulary, 7), softcap > 0 ? softcap + 1 : 0},
          .targets = torch::randint(kVocabulary, {kPositions}, torch::kInt64)};
}

Numbers row_of(const torch::Tensor& logits, int64_t row) {
  const auto values = logits[row].to(torch::kFloat64).contiguous();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

torch::Tensor logits_of(const OutputSide& side) {
  const auto logits = torch::matmul(side.hidden_PD.detach(), side.weight_VD.detach().t());
  return side.softcap > 0 ? side.softcap * torch::tanh(logits / side.softcap) : logits;
}

struct Sums {
  double divergence = 0, cross_entropy = 0;
};

Sums twin_sums(const Sides& sides, const DivergenceForm& form) {
  const auto student = logits_of(sides.student), teacher = logits_of(sides.teacher);
  Sums sums;
  for (int64_t i = 0; i < kPositions; ++i) {
    sums.divergence += test::twin_divergence(row_of(student, i), row_of(teacher, i), form);
    sums.cross_entropy += test::twin_cross_entropy(row_of(student, i), sides.targets[i].item<int64_t>());
  }
  return sums;
}

std::vector<DivergenceForm> all_forms_of_divergence() {
  std::vector<DivergenceForm> forms;
  for (const double tau : {1.0, 2.5})
    for (const Divergence loss : {Divergence::forward_kl, Divergence::reverse_kl, Divergence::jsd})
      for (const double beta : loss == Divergence::jsd ? Numbers{0, 0.3, 1} : Numbers{0.5})
        for (const int64_t k : {0, 1, 4, 12})
          for (const TopkForm kept :
               {TopkForm::tail_bucket, TopkForm::renormalised, TopkForm::partial, TopkForm::cross_entropy})
            if (fits(kept, loss) && (k > 0 || kept == TopkForm::tail_bucket))
              forms.push_back({loss, tau, beta, k, kept});
  return forms;
}

std::string name_of_form(const DivergenceForm& form) {
  return std::string(name_of(form.loss)) + " tau " + std::to_string(form.temperature) + " beta " +
         std::to_string(form.beta) + " k " + std::to_string(form.top_k) + " " +
         std::string(name_of(form.top_k_form));
}

TEST_CASE("divergence and cross-entropy in pieces are those of plain loops, in every form") {
  for (const double softcap : {0.0, 2.0}) {
    const Sides sides = make_sides(torch::kFloat64, softcap);
    for (const auto& form : all_forms_of_divergence()) {
      INFO(name_of_form(form) << ", softcap " << softcap);
      const auto sums = linear_distillation(sides.student, sides.teacher, sides.targets, form, 0.3, 4);
      const Sums twin = twin_sums(sides, form);
      // Double precision: some 10² terms of size 10, and 1 - Σ p of the twin, lose 1e-13.
      CHECK(sums.divergence.item<double>() == Approx(twin.divergence).epsilon(1e-10).margin(1e-12));
      CHECK(sums.cross_entropy.item<double>() == Approx(twin.cross_entropy).epsilon(1e-12));
      CHECK(sums.objective.item<double>() ==
            Approx(0.3 * twin.divergence + 0.7 * twin.cross_entropy).epsilon(1e-10));
    }
  }
}

// Central differences of the twin with h = 1e-5: the third derivative, at most some 10, times h² / 6, and
// rounding of 1e-14 / h.
TEST_CASE("gradients of every form are the slopes of plain loops") {
  constexpr double h = 1e-5, allowed = 1e-8;
  for (const double softcap : {0.0, 2.0}) {
    Sides sides = make_sides(torch::kFloat64, softcap);
    for (const auto& form : all_forms_of_divergence()) {
      INFO(name_of_form(form) << ", softcap " << softcap);
      const auto slope = [&](const torch::Tensor& parameter, int64_t row, int64_t column) {
        const torch::NoGradGuard no_grad;
        const auto at = [&](double value) {
          parameter[row][column].fill_(value);
          const Sums sums = twin_sums(sides, form);
          return 0.3 * sums.divergence + 0.7 * sums.cross_entropy;
        };
        const double here = parameter[row][column].item<double>();
        const double above = at(here + h), below = at(here - h);
        at(here);
        return (above - below) / (2 * h);
      };
      for (const auto* parameter : {&sides.student.hidden_PD, &sides.student.weight_VD})
        parameter->mutable_grad() = torch::Tensor();
      (linear_distillation(sides.student, sides.teacher, sides.targets, form, 0.3, 4).objective * 0.7)
          .backward();
      for (const auto& [row, column] : {std::pair<int64_t, int64_t>{0, 0}, {5, 3}, {8, 4}}) {
        const auto& hidden = sides.student.hidden_PD;
        const auto& weight = sides.student.weight_VD;
        CHECK(hidden.grad()[row][column].item<double>() ==
              Approx(0.7 * slope(hidden, row, column)).margin(allowed).epsilon(1e-6));
        CHECK(weight.grad()[row][column].item<double>() ==
              Approx(0.7 * slope(weight, row, column)).margin(allowed).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("the size of the pieces changes nothing but rounding, and nothing is made without a graph") {
  const Sides sides = make_sides(torch::kFloat64);
  const DivergenceForm form{.loss = Divergence::reverse_kl, .temperature = 2};
  const double whole =
      linear_distillation(sides.student, sides.teacher, sides.targets, form, 0.5).objective.item<double>();
  for (const int64_t rows : {1, 4, 9, 100})
    CHECK(linear_distillation(sides.student, sides.teacher, sides.targets, form, 0.5, rows)
              .objective.item<double>() == Approx(whole).epsilon(1e-13));
  const torch::NoGradGuard no_grad;
  const auto sums = linear_distillation(sides.student, sides.teacher, sides.targets, form, 0.5);
  CHECK_FALSE(sums.objective.requires_grad());
  CHECK(sums.objective.item<double>() == Approx(whole).epsilon(1e-13));
}

TEST_CASE("a student that is its teacher diverges by nothing and is not moved, in every format") {
  for (const auto precision : {Precision::float32, Precision::bf16_mixed, Precision::bf16}) {
    INFO(name_of(precision));
    const auto dtype = weight_type(precision);
    Sides sides = make_sides(torch::kFloat32, 3);
    for (auto* tensor : {&sides.student.hidden_PD, &sides.student.weight_VD})
      *tensor = tensor->detach().to(dtype).requires_grad_();
    sides.teacher = {sides.student.hidden_PD.detach(), sides.student.weight_VD.detach(), sides.student.softcap};
    const PrecisionScope scope(precision, torch::kCPU);
    const auto sums = linear_distillation(sides.student, sides.teacher, sides.targets, {.temperature = 2}, 1);
    CHECK(sums.divergence.item<double>() == 0);
    sums.objective.backward();
    CHECK(sums.objective.scalar_type() == torch::kFloat32);
    // q Σ p - p, with Σ p = 1 up to rounding.
    CHECK(sides.student.hidden_PD.grad().abs().max().item<double>() < 1e-5);
  }
}

TEST_CASE("with the teacher's weight at 0 the objective is the cross-entropy") {
  const Sides sides = make_sides(torch::kFloat64);
  const auto plain = linear_cross_entropy(sides.student.hidden_PD, sides.student.weight_VD, sides.targets);
  const auto sums = linear_distillation(sides.student, sides.teacher, sides.targets, {}, 0);
  CHECK(sums.objective.item<double>() == Approx(plain.item<double>()).epsilon(1e-14));
  CHECK(sums.divergence.item<double>() > 0);
  sums.objective.backward();
  const auto found = sides.student.weight_VD.grad().clone();
  sides.student.weight_VD.mutable_grad() = torch::Tensor();
  plain.backward();
  CHECK((found - sides.student.weight_VD.grad()).abs().max().item<double>() < 1e-12);
}

TEST_CASE("logits that differ by hundreds give finite losses and gradients") {
  torch::manual_seed(3);
  const auto student = torch::randn({5, 40}) * 200, teacher = torch::randn({5, 40}) * 200;
  for (const auto& form : all_forms_of_divergence()) {
    INFO(name_of_form(form));
    const auto sum = divergence_sum(student, teacher, form, true);
    CHECK(sum.loss.isfinite().item<bool>());
    CHECK(sum.dlogits_RV.isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace attnlab
