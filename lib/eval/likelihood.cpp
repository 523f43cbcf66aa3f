#include "eval/likelihood.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "core/errors.h"
#include "model/decoding_batch.h"

namespace attnlab {
namespace {

constexpr int64_t kLogitsAtATime = int64_t{1} << 25;
constexpr int64_t kPrefillChunk = 512;

// Sequences that go through the decoder together: input ids [B, T], and for each predicted id its place in the
// B·T positions, itself, and whose it is.
struct ScoredBatch {
  torch::Tensor ids_BT, positions_P, targets_P;
  std::vector<size_t> owners_P;
};

ScoredBatch make_batch(const std::vector<ScoredSequence>& sequences, std::span<const size_t> chosen) {
  int64_t T = 0;
  for (const size_t i : chosen) T = std::max(T, static_cast<int64_t>(sequences[i].ids.size()) - 1);
  ScoredBatch batch{.ids_BT = torch::zeros({static_cast<int64_t>(chosen.size()), T}, torch::kInt64)};
  std::vector<int64_t> positions, targets;
  for (size_t row = 0; row < chosen.size(); ++row) {
    const auto& [ids, first] = sequences[chosen[row]];
    const auto n = static_cast<int64_t>(ids.size());
    std::copy(ids.begin(), ids.end() - 1, batch.ids_BT.data_ptr<int64_t>() + static_cast<int64_t>(row) * T);
    for (int64_t i = first; i < n; ++i) {
      positions.push_back(static_cast<int64_t>(row) * T + i - 1);
      targets.push_back(ids[static_cast<size_t>(i)]);
      batch.owners_P.push_back(chosen[row]);
    }
  }
  batch.positions_P = torch::tensor(positions);
  batch.targets_P = torch::tensor(targets);
  return batch;
}

// Of each row of logits: the target's log likelihood, and whether it is the likeliest; both on the host.
struct Scores {
  torch::Tensor logs_R, hits_R;
};
Scores score(const torch::Tensor& logits_RV, const torch::Tensor& targets_R) {
  const auto wide_RV = logits_RV.to(torch::kFloat32);
  const auto logs_R = torch::log_softmax(wide_RV, -1).gather(1, targets_R.unsqueeze(1)).squeeze(1);
  return {logs_R.cpu(), wide_RV.argmax(-1).eq(targets_R).cpu()};
}
void add(Likelihood& likelihood, const Scores& scores, size_t row) {
  likelihood.log_likelihood += scores.logs_R.const_data_ptr<float>()[row];
  likelihood.greedy &= scores.hits_R.const_data_ptr<bool>()[row];
}

void add_batch(Decoder& decoder, const ScoredBatch& batch, std::vector<Likelihood>& likelihoods) {
  const auto device = decoder.device();
  const auto hidden_PD =
      decoder.hidden(batch.ids_BT.to(device)).flatten(0, 1).index_select(0, batch.positions_P.to(device));
  const auto targets_P = batch.targets_P.to(device);
  const int64_t P = targets_P.size(0),
                rows = std::max<int64_t>(1, kLogitsAtATime / decoder.config().vocab_size);
  for (int64_t begin = 0; begin < P; begin += rows) {
    const int64_t count = std::min(rows, P - begin);
    const Scores scores =
        score(decoder.logits(hidden_PD.narrow(0, begin, count)), targets_P.narrow(0, begin, count));
    for (int64_t i = 0; i < count; ++i)
      add(likelihoods[batch.owners_P[static_cast<size_t>(begin + i)]], scores, static_cast<size_t>(i));
  }
}

// Through the states: what is before `first` as a prompt, then each id for the next, and `before_step` each
// time.
void add_stepwise(Decoder& decoder, const std::vector<ScoredSequence>& sequences,
                  std::span<const size_t> chosen, const CachePlan& plan,
                  const std::function<void()>& before_step, std::vector<Likelihood>& likelihoods) {
  std::vector<std::vector<int64_t>> prompts;
  int64_t longest = 0;
  for (const size_t i : chosen) {
    const auto& [ids, first] = sequences[i];
    prompts.emplace_back(ids.begin(), ids.begin() + first);
    longest = std::max(longest, static_cast<int64_t>(ids.size()) - first);
  }
  const auto batch = make_batch(decoder, prompts, longest, kPrefillChunk, plan);
  auto logits_BV = batch->prefill();
  for (int64_t step = 0; step < longest; ++step) {
    before_step();
    std::vector<int64_t> next;  // of rows that have ended: any
    for (const size_t i : chosen) {
      const auto at = static_cast<size_t>(sequences[i].first + step);
      next.push_back(at < sequences[i].ids.size() ? sequences[i].ids[at] : 0);
    }
    const auto next_B = torch::tensor(next).to(decoder.device());
    const Scores scores = score(logits_BV, next_B);
    for (size_t row = 0; row < chosen.size(); ++row)
      if (sequences[chosen[row]].first + step < static_cast<int64_t>(sequences[chosen[row]].ids.size()))
        add(likelihoods[chosen[row]], scores, row);
    if (step + 1 < longest) logits_BV = batch->step(next_B);
  }
}

}  // namespace

std::vector<Likelihood> log_likelihoods(Decoder& decoder, const std::vector<ScoredSequence>& sequences,
                                        const LikelihoodOptions& options,
                                        const std::function<void(int64_t)>& done) {
  const torch::NoGradGuard no_grad;
  const PrecisionScope scope(options.precision, decoder.device());
  for (const auto& sequence : sequences)
    ATTNLAB_CHECK(sequence.first >= 1 && sequence.first < static_cast<int64_t>(sequence.ids.size()));
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto length = [&](size_t i) { return sequences[i].ids.size(); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return length(a) > length(b); });
  std::vector<Likelihood> likelihoods(sequences.size());
  for (size_t begin = 0; begin < order.size();) {
    const auto tell = [&] {
      if (done) done(static_cast<int64_t>(begin));
    };
    const size_t rows = std::max<size_t>(1, static_cast<size_t>(options.batch_tokens) / length(order[begin]));
    const size_t count = std::min(rows, order.size() - begin);
    const auto chosen = std::span<const size_t>(order).subspan(begin, count);
    if (options.cache.as_computed)
      add_batch(decoder, make_batch(sequences, chosen), likelihoods);
    else
      add_stepwise(decoder, sequences, chosen, options.cache, tell, likelihoods);
    begin += count;
    tell();
  }
  return likelihoods;
}

}  // namespace attnlab
