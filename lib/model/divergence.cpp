#include "model/divergence.h"

#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

using torch::Tensor;

// Log-probabilities of C outcomes, [R, C].
struct Pair {
  Tensor log_p, log_q;
};

// A loss per position, and h = q ∂loss/∂q of each outcome (divergence_form.h).
struct Scored {
  Tensor loss_R, h_RC;
};

// Σ over outcomes.
Tensor over_outcomes(const Tensor& x_RC) { return x_RC.sum(-1); }

Scored forward_kl(const Pair& at) {
  const auto p = at.log_p.exp();
  return {over_outcomes(p * (at.log_p - at.log_q)), -p};
}

// h = q (ln q - ln p + 1); the 1 adds q (1 - Σ q) = 0 to the gradient and is left out.
Scored reverse_kl(const Pair& at) {
  const auto h = at.log_q.exp() * (at.log_q - at.log_p);
  return {over_outcomes(h), h};
}

// ∂loss/∂q = (1 - β) (ln q - ln m): what m adds by itself is -β(1 - β) p/m - (1 - β)² q/m + (1 - β) = 0.
Scored jensen_shannon(const Pair& at, double beta) {
  const auto log_m = torch::logaddexp(at.log_p + std::log(beta), at.log_q + std::log1p(-beta));
  const auto h = at.log_q.exp() * (at.log_q - log_m) * (1 - beta);
  return {over_outcomes(at.log_p.exp() * (at.log_p - log_m)) * beta + over_outcomes(h), h};
}

Scored scored(const Pair& at, const DivergenceForm& form) {
  const bool jsd = form.loss == Divergence::jsd;
  if (form.loss == Divergence::forward_kl || (jsd && form.beta == 0)) return forward_kl(at);
  if (form.loss == Divergence::reverse_kl || (jsd && form.beta == 1)) return reverse_kl(at);
  return jensen_shannon(at, form.beta);
}

// h - q Σ h.
Tensor through_softmax(const Scored& loss, const Tensor& log_q) {
  return loss.h_RC - log_q.exp() * loss.h_RC.sum(-1, /*keepdim=*/true);
}

struct Gradient {
  Tensor loss_R, dscaled_RV;  // in s / τ
};

Gradient over_all(const Tensor& student, const Tensor& teacher, const DivergenceForm& form) {
  const Pair at{torch::log_softmax(teacher, -1), torch::log_softmax(student, -1)};
  const auto loss = scored(at, form);
  return {loss.loss_R, through_softmax(loss, at.log_q)};
}

Gradient over_kept(const Tensor& student, const Tensor& teacher, const Tensor& kept_RK,
                   const DivergenceForm& form) {
  const Pair at{torch::log_softmax(teacher.gather(1, kept_RK), -1),
                torch::log_softmax(student.gather(1, kept_RK), -1)};
  const auto loss = scored(at, form);
  return {loss.loss_R, torch::zeros_like(student).scatter_(1, kept_RK, through_softmax(loss, at.log_q))};
}

// ln of what is left of the softmax without the kept tokens, [R, 1].
Tensor log_rest(const Tensor& log_shares_RV, const Tensor& kept_RK) {
  return log_shares_RV.scatter(1, kept_RK, -INFINITY).logsumexp(-1, /*keepdim=*/true);
}

// The rest's h reaches its tokens by their shares of it: d ln q_rest / d s_j = q_j / q_rest - q_j.
Gradient with_rest(const Tensor& student, const Tensor& teacher, const Tensor& kept_RK,
                   const DivergenceForm& form) {
  const auto p = torch::log_softmax(teacher, -1), q = torch::log_softmax(student, -1);
  const auto q_rest_R1 = log_rest(q, kept_RK);
  const Pair at{torch::cat({p.gather(1, kept_RK), log_rest(p, kept_RK)}, 1),
                torch::cat({q.gather(1, kept_RK), q_rest_R1}, 1)};
  const auto loss = scored(at, form);
  const int64_t k = kept_RK.size(1);
  const auto h_rest_R1 = loss.h_RC.narrow(1, k, 1);
  auto dscaled = (q - q_rest_R1).exp() * h_rest_R1 - q.exp() * loss.h_RC.sum(-1, /*keepdim=*/true);
  dscaled.scatter_(1, kept_RK, through_softmax(loss, at.log_q).narrow(1, 0, k));
  return {loss.loss_R, dscaled};
}

// -Σ p ln q over the kept tokens, with p ln p beside it for `partial`; both softmaxes are over all tokens.
Gradient kept_terms(const Tensor& student, const Tensor& teacher, const Tensor& kept_RK, bool with_entropy) {
  const auto log_q_RV = torch::log_softmax(student, -1);
  const auto log_p_RK = torch::log_softmax(teacher, -1).gather(1, kept_RK);
  const auto p_RK = log_p_RK.exp();
  const auto log_q_RK = log_q_RV.gather(1, kept_RK);
  auto dscaled = log_q_RV.exp() * p_RK.sum(-1, /*keepdim=*/true);
  dscaled.scatter_add_(1, kept_RK, -p_RK);
  return {(p_RK * (with_entropy ? log_p_RK - log_q_RK : -log_q_RK)).sum(-1), dscaled};
}

Gradient gradient_of(const Tensor& student, const Tensor& teacher, const DivergenceForm& form) {
  const int64_t V = student.size(1), k = form.top_k > 0 ? std::min(form.top_k, V) : V;
  const bool terms =
      form.top_k > 0 && (form.top_k_form == TopkForm::partial || form.top_k_form == TopkForm::cross_entropy);
  if (k == V && !terms) return over_all(student, teacher, form);
  const auto kept_RK = std::get<1>(teacher.topk(k, -1, /*largest=*/true, /*sorted=*/false));
  if (terms) return kept_terms(student, teacher, kept_RK, form.top_k_form == TopkForm::partial);
  return form.top_k_form == TopkForm::renormalised ? over_kept(student, teacher, kept_RK, form)
                                                   : with_rest(student, teacher, kept_RK, form);
}

}  // namespace

DivergenceSum divergence_sum(const Tensor& student_RV, const Tensor& teacher_RV, const DivergenceForm& form,
                             bool with_gradient) {
  ATTNLAB_CHECK(fits(form.top_k_form, form.loss));
  const double tau = form.temperature, factor = form.loss == Divergence::jsd ? 1 : tau * tau;
  const auto out = tau == 1 ? gradient_of(student_RV, teacher_RV, form)
                            : gradient_of(student_RV / tau, teacher_RV / tau, form);
  DivergenceSum sum{.loss = out.loss_R.sum() * factor};
  if (with_gradient) sum.dlogits_RV = out.dscaled_RV * (factor / tau);
  return sum;
}

}  // namespace attnlab
