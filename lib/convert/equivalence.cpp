#include "convert/equivalence.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "kernels/parallel.h"

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

// Logits of one model that are held at a time, and numbers that are compared at once. On a CPU these stay in
// its caches, on other devices each operation on them is worth its launch.
constexpr int64_t kHeldLogits = int64_t{1} << 22;
int64_t compared_at_once(torch::Device device) { return device.is_cpu() ? int64_t{1} << 19 : kHeldLogits; }

int64_t rows_that_hold(int64_t numbers, int64_t width) { return std::max<int64_t>(1, numbers / width); }

torch::Tensor zero_on(torch::Device device) {
  return torch::zeros({}, torch::dtype(torch::kFloat64).device(device));
}

// The first of the largest of each row. On a CPU torch's argmax takes several times as long as its amax and a
// search.
torch::Tensor likeliest(const torch::Tensor& logits_PV) {
  if (!logits_PV.is_cpu()) return logits_PV.argmax(-1);
  const auto rows_PV = logits_PV.contiguous(), largest_P = rows_PV.amax(-1);
  const int64_t P = rows_PV.size(0), V = rows_PV.size(1);
  auto found_P = torch::empty({P}, torch::kInt64);
  const double *rows = rows_PV.const_data_ptr<double>(), *largest = largest_P.const_data_ptr<double>();
  auto* found = found_P.data_ptr<int64_t>();
  in_parallel(P, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const double* row = rows + p * V;
      const auto* place = std::isnan(largest[p])
                              ? std::find_if(row, row + V, [](double x) { return std::isnan(x); })
                              : std::find(row, row + V, largest[p]);
      found[p] = place - row;
    }
  });
  return found_P;
}

// Passes a NaN on, which std::max would lose.
void raise(torch::Tensor& largest, const torch::Tensor& other) {
  largest = torch::maximum(largest, other.to(largest.device()));
}

}  // namespace

LogitRows::LogitRows(const torch::Tensor& logits)
    : logits_PV(logits.to(torch::kFloat64)),
      log_p_PV(torch::log_softmax(logits_PV, -1)),
      likeliest_P(likeliest(logits_PV)) {}

ReferenceRows::ReferenceRows(const torch::Tensor& logits)
    : LogitRows(logits),
      p_PV(log_p_PV.exp()),
      sum(logits_PV.sum()),
      square(logits_PV.square().sum()),
      largest(logits_PV.abs().max()) {}

EquivalenceSums::EquivalenceSums(torch::Device device) {
  for (torch::Tensor* sum : {&worst_, &difference_, &kl_, &agreed_, &loss_before_, &loss_after_, &logit_,
                             &square_, &largest_, &targets_})
    *sum = zero_on(device);
}

torch::Tensor EquivalenceSums::add(const ReferenceRows& before, const LogitRows& after,
                                   const torch::Tensor& next_P) {
  const auto difference_PV = (before.logits_PV - after.logits_PV).abs();
  auto largest_difference = difference_PV.max();
  raise(worst_, largest_difference);
  difference_ += difference_PV.sum();
  kl_ += (before.p_PV * (before.log_p_PV - after.log_p_PV)).sum();
  agreed_ += (before.likeliest_P == after.likeliest_P).sum();
  loss_before_ += summed_loss(before.log_p_PV, next_P);
  loss_after_ += summed_loss(after.log_p_PV, next_P);
  targets_ += (next_P >= 0).sum();
  logit_ += before.sum;
  square_ += before.square;
  raise(largest_, before.largest);
  positions_ += before.logits_PV.size(0);
  vocabulary_ = before.logits_PV.size(1);
  return largest_difference;
}

void EquivalenceSums::add(const EquivalenceSums& other) {
  raise(worst_, other.worst_);
  raise(largest_, other.largest_);
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

StepSums::StepSums(torch::Device device) : from_first(device), from_before(zero_on(device)) {}

void StepSums::add(const StepSums& other) {
  from_first.add(other.from_first);
  raise(from_before, other.from_before);
}

namespace {

// The same positions of all models, logits of each [P, V].
void add_rows(const std::vector<torch::Tensor>& models, const torch::Tensor& next_P,
              std::vector<StepSums>& sums) {
  const ReferenceRows first(models[0]);
  torch::Tensor before = first.logits_PV;
  for (size_t i = 0; i < sums.size(); ++i) {
    const LogitRows rows(models[i + 1]);
    const auto moved = sums[i].from_first.add(first, rows, next_P);
    raise(sums[i].from_before, i == 0 ? moved : (before - rows.logits_PV).abs().max());
    before = rows.logits_PV;
  }
}

}  // namespace

void add_logits(const std::vector<LogitSource>& models, const torch::Tensor& ids_BT,
                std::vector<StepSums>& sums) {
  ATTNLAB_CHECK(models.size() == sums.size() + 1);
  const int64_t P = ids_BT.numel();
  if (P == 0) return;
  const auto next_P = next_tokens(ids_BT).flatten();
  std::vector<torch::Tensor> hidden;
  for (const auto& model : models) hidden.push_back(model.hidden_BTD.flatten(0, 1));
  const int64_t V = models[0].logits(hidden[0].narrow(0, 0, 1)).size(1);
  const int64_t held = rows_that_hold(kHeldLogits, V),
                compared = rows_that_hold(compared_at_once(ids_BT.device()), V);
  for (int64_t first = 0; first < P; first += held) {
    const int64_t count = std::min(held, P - first);
    std::vector<torch::Tensor> logits;
    for (size_t i = 0; i < models.size(); ++i)
      logits.push_back(models[i].logits(hidden[i].narrow(0, first, count)));
    for (int64_t row = 0; row < count; row += compared) {
      const int64_t rows = std::min(compared, count - row);
      std::vector<torch::Tensor> some;
      for (const auto& each : logits) some.push_back(each.narrow(0, row, rows));
      add_rows(some, next_P.narrow(0, first + row, rows), sums);
    }
  }
}

Equivalence compare_logits(Decoder& before, Decoder& after, const torch::Tensor& ids_BT) {
  ATTNLAB_CHECK(before.config().vocab_size == after.config().vocab_size);
  const torch::NoGradGuard no_grad;
  if (ids_BT.numel() == 0) return {};
  std::vector<StepSums> sums{StepSums(ids_BT.device())};
  const auto source = [&](Decoder& decoder) -> LogitSource {
    return {decoder.hidden(ids_BT), [&decoder](const torch::Tensor& hidden) { return decoder.logits(hidden); }};
  };
  add_logits({source(before), source(after)}, ids_BT, sums);
  return sums[0].from_first.result();
}

}  // namespace attnlab
