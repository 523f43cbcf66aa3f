// How a teacher takes part in the training of an arm, without torch.
#pragma once

#include <optional>
#include <string>

#include "core/errors.h"
#include "core/fields.h"
#include "model/divergence_form.h"

namespace attnlab {

// What of the layers is compared with the teacher's, each layer with its own.
enum class LayerMatch {
  none,
  attention_output,  // what the mixers give, before a norm behind them
  hidden,            // the residual stream behind each layer
};
template <>
struct EnumNames<LayerMatch> {
  using enum LayerMatch;
  static constexpr std::array<std::pair<std::string_view, LayerMatch>, 3> rows{
      {{"none", none}, {"attention_output", attention_output}, {"hidden", hidden}}};
};

inline constexpr const char* kBaseTeacher = "base";

namespace detail {
inline constexpr std::string_view kDistillLossHelp =
    "how far the student's next-token distribution q is from the teacher's p: forward_kl (τ² KL(p‖q)), "
    "reverse_kl "
    "(τ² KL(q‖p)) or jsd (generalised Jensen-Shannon, without τ²)";
inline constexpr std::string_view kTopkFormHelp =
    "what becomes of the tokens beyond top_k. tail_bucket: they are one outcome. renormalised: they are left "
    "out of "
    "both distributions. partial, cross_entropy (forward_kl alone): their terms are left out of the sum";
inline constexpr std::string_view kLayersHelp =
    "what is brought near the teacher's in each layer, too: attention_output, or hidden, the residual stream "
    "behind "
    "the layer. Σ over layers of the mean length of the difference over trained tokens (arXiv 2505.17272)";
}  // namespace detail

// The objective is weight · divergence + (1 - weight) · cross-entropy + layer_weight · Σ of the layers'
// distances, each a mean over the step's trained tokens.
struct DistillConfig {
  std::string teacher = kBaseTeacher;
  Divergence loss = Divergence::forward_kl;
  double temperature = 1, beta = 0.5, weight = 1;
  int64_t top_k = 0;
  TopkForm top_k_form = TopkForm::tail_bucket;
  LayerMatch layers = LayerMatch::none;
  double layer_weight = 1;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"teacher", "base: the unconverted base; or the folder of a model with the base's vocabulary"},
          self.teacher);
    visit(Key{"loss", detail::kDistillLossHelp}, self.loss);
    visit(Key{"temperature", "τ: logits of both are divided by it"}.above(0), self.temperature);
    visit(
        Key{"beta", "jsd: the teacher's share of the mixture; 0 is KL(p‖q), 1 is KL(q‖p)"}.at_least(0).at_most(
            1),
        self.beta);
    visit(Key{"weight", "share of the teacher in the objective; the rest is cross-entropy"}.at_least(0).at_most(
              1),
          self.weight);
    visit(Key{"top_k", "only the teacher's likeliest tokens are told apart; 0: all"}.at_least(0), self.top_k);
    visit(Key{"top_k_form", detail::kTopkFormHelp}, self.top_k_form);
    visit(Key{"layers", detail::kLayersHelp}, self.layers);
    visit(Key{"layer_weight", "weight of the layers' distances"}.above(0), self.layer_weight);
  }

  DivergenceForm form() const {
    return {.loss = loss, .temperature = temperature, .beta = beta, .top_k = top_k, .top_k_form = top_k_form};
  }
};

// Why a key of the struct has no effect beside the others; empty where it has one.
std::string why_idle(const DistillConfig& config, const std::string& key);

}  // namespace attnlab
