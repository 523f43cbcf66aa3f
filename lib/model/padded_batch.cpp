#include "model/padded_batch.h"

#include <algorithm>
#include <utility>

#include "core/errors.h"

namespace attnlab {

PaddedBatch::PaddedBatch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts, int64_t capacity,
                         int64_t chunk, const CachePlan& plan)
    : decoder_(decoder), capacity_(capacity), chunk_(chunk), plan_(plan) {
  const auto B = static_cast<int64_t>(prompts.size());
  for (const auto& prompt : prompts) {
    lengths_.push_back(static_cast<int64_t>(prompt.size()));
    ATTNLAB_CHECK(!prompt.empty());
    seen_ = std::max(seen_, lengths_.back());
  }
  slots_ = seen_ + capacity;
  auto ids_BS = torch::zeros({B, slots_}, torch::kInt64), padding_B1 = torch::zeros({B, 1}, torch::kInt64);
  for (int64_t b = 0; b < B; ++b) {
    const int64_t n = lengths_[static_cast<size_t>(b)];
    ids_BS[b].narrow(0, seen_ - n, n).copy_(torch::tensor(prompts[static_cast<size_t>(b)]));
    padding_B1[b] = seen_ - n;
    ragged_ |= n != seen_;
  }
  ATTNLAB_CHECK(!plan.pruning);  // LazyBatch
  if (!plan.keeps_all()) require_lasting_frequencies(decoder, lengths_, capacity);
  ids_BS_ = ids_BS.to(decoder.device());
  padding_B1_ = padding_B1.to(decoder.device());
}

void PaddedBatch::make_tables() {
  const auto slots_S = torch::arange(slots_, padding_B1_.options());
  const auto lengths_B = torch::tensor(lengths_).to(padding_B1_.device());
  rotary_ = decoder_.rotary_at((slots_S - padding_B1_).clamp_min(0), lengths_B);
}

torch::Tensor PaddedBatch::prefill() {
  make_tables();
  states_ = decoder_.make_states(ids_BS_.size(0), slots_, plan_);
  return run_on(0);
}

// A row whose frequencies change as it grows (longrope once, dynamic with each token past max_positions) needs
// all its keys anew.
torch::Tensor PaddedBatch::extend(const torch::Tensor& tokens_BT) {
  const int64_t T = tokens_BT.size(1), begin = seen_;
  ids_BS_.narrow(1, begin, T).copy_(tokens_BT);
  seen_ += T;
  bool switches = false;
  for (auto& length : lengths_) {
    switches |= decoder_.frequencies_of(length) != decoder_.frequencies_of(length + T);
    length += T;
  }
  return switches ? prefill() : run_on(begin);
}

torch::Tensor PaddedBatch::run_on(int64_t first) {
  torch::Tensor hidden_BTD;
  for (int64_t begin = first; begin < seen_; begin += chunk_)
    hidden_BTD = run(begin, std::min(seen_, begin + chunk_));
  return decoder_.logits(hidden_BTD.select(1, -1));
}

void PaddedBatch::keep(const std::vector<int64_t>& rows) {
  const auto index = torch::tensor(rows).to(ids_BS_.device());
  std::vector<int64_t> lengths;
  for (const int64_t row : rows) lengths.push_back(lengths_[static_cast<size_t>(row)]);
  lengths_ = std::move(lengths);
  ids_BS_ = ids_BS_.index_select(0, index);
  padding_B1_ = padding_B1_.index_select(0, index);
  for (auto& [cos, sin] : rotary_) cos = cos.index_select(0, index), sin = sin.index_select(0, index);
  for (auto& state : states_) state.select_rows(index);
}

torch::Tensor PaddedBatch::enter(const std::vector<std::vector<int64_t>>& prompts) {
  PaddedBatch entering(decoder_, prompts, capacity_, chunk_, plan_);
  const auto logits_BV = entering.prefill();
  lengths_.insert(lengths_.end(), entering.lengths_.begin(), entering.lengths_.end());
  const int64_t old_seen = seen_, old_rows = ids_BS_.size(0);
  seen_ = *std::max_element(lengths_.begin(), lengths_.end());
  slots_ = seen_ + capacity_;
  const auto old_ids_BS =
      std::exchange(ids_BS_, torch::zeros({static_cast<int64_t>(lengths_.size()), slots_}, ids_BS_.options()));
  place_ids(old_ids_BS, 0, old_seen);
  place_ids(entering.ids_BS_, old_rows, entering.seen_);
  padding_B1_ = (seen_ - torch::tensor(lengths_)).unsqueeze(1).to(padding_B1_.device());
  ragged_ = *std::min_element(lengths_.begin(), lengths_.end()) != seen_;
  for (size_t i = 0; i < states_.size(); ++i)
    states_[i] = LayerState::joined(states_[i], entering.states_[i], seen_, slots_);
  make_tables();
  return logits_BV;
}

int64_t PaddedBatch::bytes() const {
  int64_t total = 0;
  for (const auto& state : states_) total += state.bytes();
  return total;
}

// The last tokens of rows that were `seen` wide, at the end of the rows from `first_row` on.
void PaddedBatch::place_ids(const torch::Tensor& ids_BS, int64_t first_row, int64_t seen) {
  const int64_t count = std::min(seen, seen_);
  ids_BS_.narrow(0, first_row, ids_BS.size(0))
      .narrow(1, seen_ - count, count)
      .copy_(ids_BS.narrow(1, seen - count, count));
}

// Slots begin … end - 1; those before them are in the states.
torch::Tensor PaddedBatch::run(int64_t begin, int64_t end) {
  SequenceSpec spec{.begin = begin, .to_come = seen_ - end};
  if (ragged_) spec.padding_B1 = padding_B1_;
  for (const auto& [cos, sin] : rotary_) spec.rotary.push_back({cos.narrow(1, 0, end), sin.narrow(1, 0, end)});
  return decoder_.hidden(ids_BS_.narrow(1, begin, end - begin),
                         {.sequence = std::move(spec), .states = &states_});
}

}  // namespace attnlab
