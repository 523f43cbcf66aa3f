// How far a converted model is from the one before it.
#pragma once

#include <functional>
#include <vector>

#include "core/fields.h"
#include "model/decoder.h"

namespace attnlab {

struct Equivalence {
  double max_logit_difference = 0;
  double mean_logit_difference = 0;
  double kl_divergence = 0;      // mean over positions of KL(before || after), nats
  double top1_agreement = 0;     // share of positions where both have the same likeliest token
  double perplexity_before = 0;  // exp of the mean next-token loss; 0: no next tokens
  double perplexity_after = 0;
  double logit_deviation = 0;  // standard deviation of the logits before, for scale
  double largest_logit = 0;    // largest |logit before|
  int64_t positions = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"max_logit_difference", "largest |logit after - logit before|"}, self.max_logit_difference);
    visit(Key{"mean_logit_difference", "mean of that"}, self.mean_logit_difference);
    visit(Key{"kl_divergence", "mean KL(before || after) in nats"}, self.kl_divergence);
    visit(Key{"top1_agreement", "share of positions with the same likeliest token"}, self.top1_agreement);
    visit(Key{"perplexity_before", "of the next tokens"}, self.perplexity_before);
    visit(Key{"perplexity_after", "of the next tokens"}, self.perplexity_after);
    visit(Key{"logit_deviation", "standard deviation of the logits before"}, self.logit_deviation);
    visit(Key{"largest_logit", "largest |logit before|"}, self.largest_logit);
    visit(Key{"positions", "positions that were compared"}, self.positions);
  }
};

// Logits [P, V] of P positions in any format, as sums read them: in double, made once for all models that they
// are compared with.
struct LogitRows {
  explicit LogitRows(const torch::Tensor& logits);
  torch::Tensor logits_PV, log_p_PV, likeliest_P;
};
// Those that others are compared with.
struct ReferenceRows : LogitRows {
  explicit ReferenceRows(const torch::Tensor& logits);
  torch::Tensor p_PV, sum, square, largest;
};

// Running sums over pieces of the positions, in double and on the device.
class EquivalenceSums {
 public:
  explicit EquivalenceSums(torch::Device device);
  // Of the same positions, and the tokens [P] that follow them; negative: none does. Returns the largest
  // |logit after - logit before| of these.
  torch::Tensor add(const ReferenceRows& before, const LogitRows& after, const torch::Tensor& next_P);
  // What another one has summed, on any device.
  void add(const EquivalenceSums& other);
  // A NaN in either shows as NaN. Without positions all is zero.
  Equivalence result() const;

 private:
  torch::Tensor worst_, difference_, kl_, agreed_, loss_before_, loss_after_, logit_, square_, largest_;
  torch::Tensor targets_;
  int64_t positions_ = 0, vocabulary_ = 0;
};

// What a model says of [B, T] tokens: hidden states after the final norm, and logits from some of them.
struct LogitSource {
  torch::Tensor hidden_BTD;
  std::function<torch::Tensor(const torch::Tensor& hidden)> logits;
};

// How far a model is from the first one of a row, and from the one before it.
struct StepSums {
  explicit StepSums(torch::Device device);
  void add(const StepSums& other);

  EquivalenceSums from_first;
  torch::Tensor from_before;  // largest |logit - logit of the model before|
};

// Adds what models [1 …] say, each once, to sums [0 …]. B·T·V logits in double would need gigabytes at a real
// vocabulary: a few million of each model are held at a time, in its own format.
void add_logits(const std::vector<LogitSource>& models, const torch::Tensor& ids_BT,
                std::vector<StepSums>& sums);

// Compares two decoders with one vocabulary on the same tokens [B, T], in the decoders' own precision.
Equivalence compare_logits(Decoder& before, Decoder& after, const torch::Tensor& ids_BT);

}  // namespace attnlab
