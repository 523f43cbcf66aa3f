// The shape of a mixture of experts that stands in place of a layer's MLP, without torch.
#pragma once

#include <cstdint>

#include "core/fields.h"

namespace attnlab {

// How an expert's score s_e follows from its logit: a softmax over all experts, or a sigmoid of its own.
enum class RouterScore { softmax, sigmoid };
template <>
struct EnumNames<RouterScore> {
  static constexpr std::array<std::pair<std::string_view, RouterScore>, 2> rows{
      {{"softmax", RouterScore::softmax}, {"sigmoid", RouterScore::sigmoid}}};
};

// A token goes through the experts_per_token experts e with the largest choice c_e, and
//   y = Σ_e w_e expert_e(x) + shared(x),   w_e = scale · s_e, or scale · s_e / Σ_chosen s with `normalised`.
// softmax: c = s (Mixtral, arXiv 2401.04088; DeepSeek-V2, arXiv 2405.04434, section 2.1.2); sigmoid: c = s + b
// with a bias b that gradients do not reach (DeepSeek-V3, arXiv 2412.19437, section 2.1.2). Where
// groups_per_token is less than n_groups, experts of the other groups are left out first: a group counts as
// much as its largest c (softmax, "group_limited_greedy") or the sum of its two largest (sigmoid, "noaux_tc").
struct MoeShape {
  int64_t n_experts = 0;
  int64_t experts_per_token = 0;
  int64_t d_ff = 0;         // width of an expert
  int64_t n_shared = 0;     // of this width, too, in one MLP that every token goes through
  int64_t first_layer = 0;  // those before it are dense
  int64_t layer_step = 1;   // and so are those from it on whose number this does not divide
  RouterScore score = RouterScore::softmax;
  int64_t n_groups = 1;
  int64_t groups_per_token = 1;
  bool normalised = true;
  double scale = 1;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"n_experts", "experts that the router chooses from"}.at_least(1).must_be_given(), self.n_experts);
    visit(Key{"experts_per_token", "experts that a token goes through"}.at_least(1).must_be_given(),
          self.experts_per_token);
    visit(Key{"d_ff", "width of an expert; mixtral: the d_ff beside it"}.at_least(1).must_be_given(),
          self.d_ff);
    visit(Key{"n_shared", "experts that every token goes through beside them"}.at_least(0), self.n_shared);
    visit(Key{"first_layer", "layers before it have a dense MLP"}.at_least(0), self.first_layer);
    visit(Key{"layer_step", "from first_layer on, layers whose number it does not divide are dense, too"}
              .at_least(1),
          self.layer_step);
    visit(Key{"score", "of an expert: softmax, or sigmoid with a bias on the choice"}, self.score);
    visit(Key{"n_groups", "groups of experts; divides n_experts"}.at_least(1), self.n_groups);
    visit(Key{"groups_per_token", "groups that a token may choose from"}.at_least(1), self.groups_per_token);
    visit(Key{"normalised", "the chosen experts' weights sum to scale"}, self.normalised);
    visit(Key{"scale", "factor on the weights"}.above(0), self.scale);
  }

  bool in_layer(int64_t layer) const { return layer >= first_layer && layer % layer_step == 0; }
  int64_t experts_per_group() const { return n_experts / n_groups; }
};

}  // namespace attnlab
