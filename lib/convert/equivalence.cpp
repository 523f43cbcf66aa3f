#include "convert/equivalence.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

// Hidden states of every position [P, D]; the logits are made from them piece by piece.
torch::Tensor hidden_PD(Decoder& decoder, const torch::Tensor& ids_BT) {
  return decoder.hidden(ids_BT).flatten(0, 1);
}

// Running sums in double, on the device. torch::maximum passes a NaN on, which std::max would lose.
struct Sums {
  explicit Sums(torch::Device device)
      : worst(torch::zeros({}, torch::dtype(torch::kFloat64).device(device))),
        difference(torch::zeros_like(worst)),
        kl(torch::zeros_like(worst)),
        logit(torch::zeros_like(worst)),
        square(torch::zeros_like(worst)) {}

  void add(const torch::Tensor& before_PV, const torch::Tensor& after_PV) {
    const auto difference_PV = (before_PV - after_PV).abs();
    worst = torch::maximum(worst, difference_PV.max());
    difference += difference_PV.sum();
    const auto log_p_PV = torch::log_softmax(before_PV, -1), log_q_PV = torch::log_softmax(after_PV, -1);
    kl += (log_p_PV.exp() * (log_p_PV - log_q_PV)).sum();
    logit += before_PV.sum();
    square += before_PV.square().sum();
  }

  torch::Tensor worst, difference, kl, logit, square;
};

}  // namespace

// B·T·V logits in double would need gigabytes at a real vocabulary: a few million are held at a time.
Equivalence compare_logits(Decoder& before, Decoder& after, const torch::Tensor& ids_BT) {
  ATTNLAB_CHECK(before.config().vocab_size == after.config().vocab_size);
  const torch::NoGradGuard no_grad;
  const int64_t P = ids_BT.numel(), V = before.config().vocab_size;
  if (P == 0) return {};
  const auto before_PD = hidden_PD(before, ids_BT), after_PD = hidden_PD(after, ids_BT);
  const int64_t piece = std::max<int64_t>(1, (int64_t{1} << 22) / V);
  Sums sums(ids_BT.device());
  for (int64_t first = 0; first < P; first += piece) {
    const int64_t count = std::min(piece, P - first);
    sums.add(before.logits(before_PD.narrow(0, first, count)).to(torch::kFloat64),
             after.logits(after_PD.narrow(0, first, count)).to(torch::kFloat64));
  }
  const auto positions = static_cast<double>(P), numbers = positions * static_cast<double>(V);
  const auto mean = sums.logit / numbers;
  return {.max_logit_difference = sums.worst.item<double>(),
          .mean_logit_difference = sums.difference.item<double>() / numbers,
          .kl_divergence = sums.kl.item<double>() / positions,
          .logit_deviation = (sums.square / numbers - mean.square()).clamp_min(0).sqrt().item<double>(),
          .positions = P};
}

}  // namespace attnlab
