#include "data/mixture.h"

#include <algorithm>
#include <utility>

#include "core/add_once.h"
#include "core/random.h"

namespace attnlab {
namespace {

// The part, of those that `may` give, for which taken / weight is least; the first of several; -1: none may.
template <class May>
int64_t furthest_behind(const std::vector<int64_t>& taken, const std::vector<double>& weights, May may) {
  int64_t best = -1;
  double least = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double share = static_cast<double>(taken[i]) / weights[i];
    if (!may(i) || (best >= 0 && share >= least)) continue;
    best = static_cast<int64_t>(i);
    least = share;
  }
  return best;
}

}  // namespace

MixtureDataset::MixtureDataset(std::vector<Part> parts) : parts_(std::move(parts)) {
  const std::vector<double> of = weights();
  std::vector<int64_t> taken(parts_.size(), 0);
  const auto may = [&](size_t i) { return taken[i] < parts_[i].examples->size(); };
  for (int64_t part = furthest_behind(taken, of, may); part >= 0; part = furthest_behind(taken, of, may))
    places_.push_back({part, taken[static_cast<size_t>(part)]++});
}

Example MixtureDataset::get(int64_t index) const {
  const Place& place = places_.at(static_cast<size_t>(index));
  return parts_[static_cast<size_t>(place.part)].examples->get(place.index);
}

std::vector<double> MixtureDataset::weights() const {
  std::vector<double> out;
  for (const Part& part : parts_) out.push_back(part.weight);
  return out;
}

std::vector<std::string> MixtureDataset::notes() const {
  std::vector<std::string> out;
  for (const Part& part : parts_)
    for (const auto& note : part.examples->notes()) add_once(out, note);
  return out;
}

MixtureOrder::MixtureOrder(const Dataset& mixture, std::function<int64_t(int64_t)> tokens_of, uint64_t seed)
    : weights_(mixture.weights()),
      members_(weights_.size()),
      tokens_of_(std::move(tokens_of)),
      seed_(seed),
      size_(mixture.size()),
      passes_(weights_.size()) {
  for (int64_t i = 0; i < size_; ++i) members_[static_cast<size_t>(mixture.part_of(i))].push_back(i);
  const std::vector<int64_t> none(weights_.size(), 0);
  starts_.push_back({none, none});
}

int64_t MixtureOrder::next(State& state) {
  const auto part = static_cast<size_t>(
      furthest_behind(state.tokens, weights_, [&](size_t i) { return !members_[i].empty(); }));
  const auto n = static_cast<int64_t>(members_[part].size());
  const int64_t number = state.examples[part] / n, place = state.examples[part] % n;
  Pass& pass = passes_[part];
  if (pass.number != number)
    pass = {number, permutation(n, mix64(seed_ + mix64(part)) ^ static_cast<uint64_t>(number))};
  const int64_t example = members_[part][static_cast<size_t>(pass.order[static_cast<size_t>(place)])];
  ++state.examples[part];
  state.tokens[part] += std::max<int64_t>(1, tokens_of_(example));
  return example;
}

std::vector<int64_t> MixtureOrder::operator()(int64_t epoch) {
  std::vector<int64_t> order;
  const auto wanted = static_cast<size_t>(epoch);
  for (size_t e = std::min(wanted, starts_.size() - 1); e <= wanted; ++e) {
    State state = starts_[e];
    order.clear();
    for (int64_t i = 0; i < size_; ++i) order.push_back(next(state));
    if (starts_.size() == e + 1) starts_.push_back(std::move(state));
  }
  return order;
}

}  // namespace attnlab
