#include "model/linear_distillation.h"

#include "core/errors.h"
#include "model/divergence.h"
#include "model/logit_pieces.h"

namespace attnlab {
namespace {

using torch::Tensor;

constexpr int64_t kTensorsOfAPiece = 4;  // beside what cross-entropy holds

// The cross-entropy and its gradient in the logits: softmax - one-hot.
DivergenceSum target_loss(const Tensor& logits_RV, const Tensor& targets_R, bool with_gradient) {
  const auto log_shares = torch::log_softmax(logits_RV, -1);
  const auto index_R1 = targets_R.unsqueeze(1);
  DivergenceSum out{.loss = -log_shares.gather(1, index_R1).sum()};
  if (!with_gradient) return out;
  out.dlogits_RV = log_shares.exp();
  out.dlogits_RV.scatter_add_(1, index_R1, torch::full_like(index_R1, -1, out.dlogits_RV.options()));
  return out;
}

}  // namespace

DistillationSums linear_distillation(const OutputSide& student, const OutputSide& teacher,
                                     const Tensor& targets_P, const DivergenceForm& form, double weight,
                                     int64_t rows) {
  ATTNLAB_CHECK(student.weight_VD.size(0) == teacher.weight_VD.size(0));
  ATTNLAB_CHECK(student.hidden_PD.size(0) == teacher.hidden_PD.size(0));
  const LogitFormats formats = logit_formats(teacher.hidden_PD);
  const auto sum = logit_formats(student.hidden_PD).sum;
  const auto teacher_weight = teacher.weight_VD.detach().to(formats.product);
  const auto teacher_logits = [&](int64_t begin, int64_t count) {
    const auto hidden_RE = teacher.hidden_PD.detach().narrow(0, begin, count).to(formats.product);
    return soft_capped(torch::matmul(hidden_RE, teacher_weight.t()).to(sum), teacher.softcap);
  };
  const auto piece = [&](const Tensor& product_RV, int64_t begin, bool with_gradient) {
    const int64_t count = product_RV.size(0);
    const auto logits_RV = soft_capped(product_RV.to(sum), student.softcap);
    const bool of_targets = with_gradient && weight < 1, of_teacher = with_gradient && weight > 0;
    const auto targets = target_loss(logits_RV, targets_P.narrow(0, begin, count), of_targets);
    const auto teachers = divergence_sum(logits_RV, teacher_logits(begin, count), form, of_teacher);
    LogitPiece out{.sums = torch::stack(
                       {teachers.loss * weight + targets.loss * (1 - weight), teachers.loss, targets.loss})};
    if (of_teacher) out.dlogits_RV = teachers.dlogits_RV * weight;
    if (of_targets)
      out.dlogits_RV = of_teacher ? out.dlogits_RV.add_(targets.dlogits_RV, 1 - weight) : targets.dlogits_RV;
    if (with_gradient) chain_softcap(out.dlogits_RV, logits_RV, student.softcap);
    return out;
  };
  const auto sums =
      sum_logit_pieces(student.hidden_PD, student.weight_VD, 3,
                       rows > 0 ? rows : rows_of_a_piece(student.weight_VD, kTensorsOfAPiece), piece);
  return {sums[0], sums.detach()[1], sums.detach()[2]};
}

}  // namespace attnlab
