#include "model/linear_cross_entropy.h"

#include "kernels/cpu_kernels.h"
#include "kernels/fused.h"
#include "model/logit_pieces.h"

namespace attnlab {
namespace {

using torch::Tensor;

// d loss / d z of the logits z is p - one-hot, times cap'(z).
LogitPiece cross_entropy_piece(Tensor product_RV, const Tensor& targets_R, double softcap,
                               torch::ScalarType sum, bool with_gradient) {
  if (has_kernels(product_RV)) {
    const auto losses_R = cross_entropy_in_place(product_RV, targets_R, softcap, with_gradient);
    return {losses_R.sum(), with_gradient ? product_RV : Tensor()};
  }
  if (softcap <= 0 && cpu::has_cross_entropy(product_RV)) {
    const auto losses_R = cpu::cross_entropy_in_place(product_RV, targets_R.contiguous(), with_gradient);
    return {losses_R.sum(), with_gradient ? product_RV : Tensor()};
  }
  const auto capped = soft_capped(product_RV.to(sum), softcap);
  const auto log_shares = torch::log_softmax(capped, -1);
  const auto index_R1 = targets_R.unsqueeze(1);
  LogitPiece piece{.sums = -log_shares.gather(1, index_R1).sum()};
  if (!with_gradient) return piece;
  piece.dlogits_RV = log_shares.exp();
  piece.dlogits_RV.scatter_add_(1, index_R1, torch::full_like(index_R1, -1, piece.dlogits_RV.options()));
  chain_softcap(piece.dlogits_RV, capped, softcap);
  return piece;
}

}  // namespace

torch::Tensor linear_cross_entropy(const Tensor& hidden_PD, const Tensor& weight_VD, const Tensor& targets_P,
                                   double softcap, int64_t rows) {
  const auto sum = logit_formats(hidden_PD).sum;
  return sum_logit_pieces(hidden_PD, weight_VD, 0, rows > 0 ? rows : rows_of_a_piece(weight_VD),
                          [&](Tensor product_RV, int64_t begin, bool with_gradient) {
                            const auto targets_R = targets_P.narrow(0, begin, product_RV.size(0));
                            return cross_entropy_piece(std::move(product_RV), targets_R, softcap, sum,
                                                       with_gradient);
                          });
}

}  // namespace attnlab
