#include "data/domain_stream.h"

#include <algorithm>

#include "core/errors.h"
#include "core/random.h"
#include "data/token_store.h"

namespace attnlab {
namespace {

class PartOfMixture final : public Dataset {
 public:
  PartOfMixture(std::shared_ptr<const Dataset> mixture, int64_t part) : mixture_(std::move(mixture)) {
    for (int64_t i = 0; i < mixture_->size(); ++i)
      if (mixture_->part_of(i) == part) members_.push_back(i);
  }
  int64_t size() const override { return static_cast<int64_t>(members_.size()); }
  Example get(int64_t index) const override { return mixture_->get(members_.at(static_cast<size_t>(index))); }
  // Tokenised once, as mixtures are.
  bool in_memory() const override { return true; }

 private:
  std::shared_ptr<const Dataset> mixture_;
  std::vector<int64_t> members_;
};

// The part that is to give the next row: (taken + 1/2) / share is least; the first of several.
size_t next_part(const std::vector<int64_t>& taken, const std::vector<double>& shares) {
  size_t best = 0;
  const auto behind = [&](size_t i) { return (static_cast<double>(taken[i]) + 0.5) / shares[i]; };
  for (size_t i = 1; i < shares.size(); ++i)
    if (behind(i) < behind(best)) best = i;
  return best;
}

}  // namespace

std::shared_ptr<const Dataset> part_of_mixture(const std::shared_ptr<const Dataset>& mixture, int64_t part) {
  return std::make_shared<PartOfMixture>(mixture, part);
}

ShareHistory::ShareHistory(std::vector<double> shares, int64_t rows_per_step) : rows_per_step_(rows_per_step) {
  ATTNLAB_CHECK(!shares.empty() && rows_per_step > 0);
  const size_t parts = shares.size();
  changes_.push_back({0, std::move(shares), std::vector<int64_t>(parts, 0)});
}

std::vector<int64_t> ShareHistory::taken_before(int64_t step, std::vector<Place>* places) const {
  const auto behind = std::upper_bound(changes_.begin(), changes_.end(), step,
                                       [](int64_t at, const Change& change) { return at < change.step; });
  const Change& change = *std::prev(behind);
  std::vector<int64_t> since(change.shares.size(), 0), taken = change.taken;
  const int64_t rows = (step - change.step) * rows_per_step_;
  for (int64_t row = 0; row < rows + (places ? rows_per_step_ : 0); ++row) {
    const size_t part = next_part(since, change.shares);
    if (row >= rows) places->push_back({static_cast<int64_t>(part), taken[part]});
    ++since[part];
    ++taken[part];
  }
  return taken;
}

void ShareHistory::change(int64_t step, std::vector<double> shares) {
  ATTNLAB_CHECK(step >= changes_.back().step && shares.size() == changes_.back().shares.size());
  auto taken = taken_before(step, nullptr);
  if (step == changes_.back().step) {
    changes_.back().shares = std::move(shares);
    return;
  }
  changes_.push_back({step, std::move(shares), std::move(taken)});
}

std::vector<ShareHistory::Place> ShareHistory::places(int64_t step) const {
  std::vector<Place> places;
  taken_before(step, &places);
  return places;
}

std::vector<std::vector<double>> ShareHistory::rows() const {
  std::vector<std::vector<double>> out;
  for (const Change& change : changes_) {
    out.push_back({static_cast<double>(change.step)});
    out.back().insert(out.back().end(), change.shares.begin(), change.shares.end());
  }
  return out;
}

ShareHistory ShareHistory::from_rows(const std::vector<std::vector<double>>& rows, int64_t rows_per_step) {
  ATTNLAB_CHECK(!rows.empty());
  ShareHistory history({rows[0].begin() + 1, rows[0].end()}, rows_per_step);
  for (size_t i = 1; i < rows.size(); ++i)
    history.change(static_cast<int64_t>(rows[i][0]), {rows[i].begin() + 1, rows[i].end()});
  return history;
}

DomainStream::DomainStream(const std::shared_ptr<const Dataset>& mixture,
                           const std::shared_ptr<const Tokenizer>& tokenizer, const BatchConfig& config,
                           uint64_t seed)
    : config_(config) {
  for (size_t part = 0; part < mixture->weights().size(); ++part)
    parts_.push_back(std::make_unique<BatchStream>(part_of_mixture(mixture, static_cast<int64_t>(part)),
                                                   tokenizer, config, mix64(seed) ^ mix64(part + 1)));
}

std::vector<Batch> DomainStream::batches(int64_t step, const ShareHistory& history) const {
  const auto places = history.places(step);
  ATTNLAB_CHECK(static_cast<int64_t>(places.size()) == config_.batch_size * config_.micro_batches);
  std::vector<Batch> all;
  for (size_t first = 0; first < places.size(); first += static_cast<size_t>(config_.batch_size)) {
    std::vector<Row> rows;
    for (size_t r = first; r < first + static_cast<size_t>(config_.batch_size); ++r)
      rows.push_back(parts_[static_cast<size_t>(places[r].part)]->row(places[r].row));
    all.push_back(make_batch(rows, config_.pad_id, config_.packing == Packing::isolated));
  }
  return all;
}

}  // namespace attnlab
