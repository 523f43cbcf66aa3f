#include "convert/equivalence.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

// The token that follows each position [B, T], -1 at the last.
torch::Tensor next_tokens(const torch::Tensor& ids_BT) {
  const auto next = torch::full_like(ids_BT, -1);
  next.slice(1, 0, -1).copy_(ids_BT.slice(1, 1));
  return next;
}

torch::Tensor summed_loss(const torch::Tensor& log_p_PV, const torch::Tensor& next_P) {
  const auto known = next_P >= 0;
  const auto chosen = log_p_PV.gather(1, next_P.clamp_min(0).unsqueeze(1)).squeeze(1);
  return -torch::where(known, chosen, torch::zeros_like(chosen)).sum();
}

}  // namespace

EquivalenceSums::EquivalenceSums(torch::Device device) {
  for (torch::Tensor* sum : {&worst_, &difference_, &kl_, &agreed_, &loss_before_, &loss_after_, &logit_,
                             &square_, &largest_, &targets_})
    *sum = torch::zeros({}, torch::dtype(torch::kFloat64).device(device));
}

// torch::maximum passes a NaN on, which std::max would lose.
void EquivalenceSums::add(const torch::Tensor& before, const torch::Tensor& after,
                          const torch::Tensor& next_P) {
  const auto before_PV = before.to(torch::kFloat64), after_PV = after.to(torch::kFloat64);
  const auto difference_PV = (before_PV - after_PV).abs();
  worst_ = torch::maximum(worst_, difference_PV.max());
  difference_ += difference_PV.sum();
  const auto log_p_PV = torch::log_softmax(before_PV, -1), log_q_PV = torch::log_softmax(after_PV, -1);
  kl_ += (log_p_PV.exp() * (log_p_PV - log_q_PV)).sum();
  agreed_ += (before_PV.argmax(-1) == after_PV.argmax(-1)).sum();
  loss_before_ += summed_loss(log_p_PV, next_P);
  loss_after_ += summed_loss(log_q_PV, next_P);
  targets_ += (next_P >= 0).sum();
  logit_ += before_PV.sum();
  square_ += before_PV.square().sum();
  largest_ = torch::maximum(largest_, before_PV.abs().max());
  positions_ += before_PV.size(0);
  vocabulary_ = before_PV.size(1);
}

void EquivalenceSums::add(const EquivalenceSums& other) {
  const auto larger = [](torch::Tensor& mine, const torch::Tensor& theirs) {
    mine = torch::maximum(mine, theirs.to(mine.device()));
  };
  larger(worst_, other.worst_);
  larger(largest_, other.largest_);
  for (const auto sum : {&EquivalenceSums::difference_, &EquivalenceSums::kl_, &EquivalenceSums::agreed_,
                         &EquivalenceSums::loss_before_, &EquivalenceSums::loss_after_,
                         &EquivalenceSums::logit_, &EquivalenceSums::square_, &EquivalenceSums::targets_})
    this->*sum += (other.*sum).to((this->*sum).device());
  positions_ += other.positions_;
  vocabulary_ = std::max(vocabulary_, other.vocabulary_);
}

Equivalence EquivalenceSums::result() const {
  if (positions_ == 0) return {};
  const auto positions = static_cast<double>(positions_),
             numbers = positions * static_cast<double>(vocabulary_);
  const double targets = targets_.item<double>();
  const auto perplexity = [&](const torch::Tensor& loss) {
    return targets > 0 ? std::exp(loss.item<double>() / targets) : 0;
  };
  const auto mean = logit_ / numbers;
  return {.max_logit_difference = worst_.item<double>(),
          .mean_logit_difference = difference_.item<double>() / numbers,
          .kl_divergence = kl_.item<double>() / positions,
          .top1_agreement = agreed_.item<double>() / positions,
          .perplexity_before = perplexity(loss_before_),
          .perplexity_after = perplexity(loss_after_),
          .logit_deviation = (square_ / numbers - mean.square()).clamp_min(0).sqrt().item<double>(),
          .largest_logit = largest_.item<double>(),
          .positions = positions_};
}

void add_logits(const LogitSource& before, const LogitSource& after, const torch::Tensor& ids_BT,
                EquivalenceSums& sums) {
  const int64_t P = ids_BT.numel();
  if (P == 0) return;
  const auto before_PD = before.hidden_BTD.flatten(0, 1), after_PD = after.hidden_BTD.flatten(0, 1);
  const auto next_P = next_tokens(ids_BT).flatten();
  const int64_t V = before.logits(before_PD.narrow(0, 0, 1)).size(1);
  const int64_t piece = std::max<int64_t>(1, (int64_t{1} << 22) / V);
  for (int64_t first = 0; first < P; first += piece) {
    const int64_t count = std::min(piece, P - first);
    sums.add(before.logits(before_PD.narrow(0, first, count)), after.logits(after_PD.narrow(0, first, count)),
             next_P.narrow(0, first, count));
  }
}

Equivalence compare_logits(Decoder& before, Decoder& after, const torch::Tensor& ids_BT) {
  ATTNLAB_CHECK(before.config().vocab_size == after.config().vocab_size);
  const torch::NoGradGuard no_grad;
  if (ids_BT.numel() == 0) return {};
  EquivalenceSums sums(ids_BT.device());
  const auto source = [&](Decoder& decoder) -> LogitSource {
    return {decoder.hidden(ids_BT), [&decoder](const torch::Tensor& hidden) { return decoder.logits(hidden); }};
  };
  add_logits(source(before), source(after), ids_BT, sums);
  return sums.result();
}

}  // namespace attnlab
