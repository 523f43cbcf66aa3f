// Several data sets as one, each with a weight.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace attnlab {

// The examples of all parts. The part that is furthest behind its weight gives the next one, and drops out when
// it has no more: any beginning holds examples in proportion to the weights as long as they last.
class MixtureDataset : public Dataset {
 public:
  struct Part {
    double weight;  // above 0
    std::unique_ptr<Dataset> examples;
  };
  explicit MixtureDataset(std::vector<Part> parts);
  int64_t size() const override { return static_cast<int64_t>(places_.size()); }
  Example get(int64_t index) const override;
  std::vector<double> weights() const override;
  int64_t part_of(int64_t index) const override { return places_[static_cast<size_t>(index)].part; }
  std::vector<std::string> notes() const override;

 private:
  struct Place {
    int64_t part, index;
  };
  std::vector<Part> parts_;
  std::vector<Place> places_;
};

// The order in which a run sees a mixture: the part whose tokens so far are furthest behind its weight gives
// the next example of its own permutation, which is a new one each time the part has been gone through. Thus
// the weights are shares of tokens, kept to within an example at any step, and small parts come again. A pure
// function of the data, the lengths, and the seed. An epoch is as many examples as the mixture has.
class MixtureOrder {
 public:
  // `tokens_of`: what an example counts; it must stay valid.
  MixtureOrder(const Dataset& mixture, std::function<int64_t(int64_t)> tokens_of, uint64_t seed);
  // Called by one thread at a time; epochs not asked for before are gone through from the first.
  std::vector<int64_t> operator()(int64_t epoch);

 private:
  struct State {
    std::vector<int64_t> examples, tokens;  // taken so far, by part
  };
  int64_t next(State& state);

  std::vector<double> weights_;
  std::vector<std::vector<int64_t>> members_;  // examples of each part
  std::function<int64_t(int64_t)> tokens_of_;
  uint64_t seed_;
  int64_t size_;
  std::vector<State> starts_;  // of the epochs known so far
  struct Pass {
    int64_t number = -1;
    std::vector<int64_t> order;
  };
  std::vector<Pass> passes_;  // through each part
};

}  // namespace attnlab
