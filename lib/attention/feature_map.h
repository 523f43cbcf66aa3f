// Maps of queries and keys to positive features, whose products stand in for exp(q·k) in linear attention.
#pragma once

#include <cstdint>

#include "core/fields.h"

namespace attnlab {

enum class FeatureMapKind {
  elu,       // elu(x) + 1 (Linear Transformer, arXiv 2006.16236)
  t2r,       // relu(W x + b) (arXiv 2103.13076)
  hedgehog,  // [softmax(W x), softmax(-W x)] (arXiv 2402.04347, as LoLCATs has it, arXiv 2410.10254)
  exp,       // [exp(W x), exp(-W x)] of x · H^(-1/4)
};
template <>
struct EnumNames<FeatureMapKind> {
  static constexpr std::array<std::pair<std::string_view, FeatureMapKind>, 4> rows{
      {{"elu", FeatureMapKind::elu},
       {"t2r", FeatureMapKind::t2r},
       {"hedgehog", FeatureMapKind::hedgehog},
       {"exp", FeatureMapKind::exp}}};
};

// Features of a head of `head_dim` numbers, W having `rows` rows.
int64_t feature_count(FeatureMapKind kind, int64_t head_dim, int64_t rows);

// The options that linear attention has, with and without a decay.
template <class Self, class Visitor>
void visit_linear_options(Self& self, Visitor& visit) {
  visit(Key{"feature_map", "elu (elu + 1), t2r (relu), hedgehog (two softmaxes) or exp (a pair of them)"},
        self.feature_map);
  visit(Key{"by_query_head", "keys are mapped for each query head, with a state each; false: per KV head"},
        self.by_query_head);
  visit(Key{"rotary", "rotary position in front of the map"}, self.rotary);
  visit(Key{"eps", "added to the sum of weights"}.above(0), self.eps);
}

}  // namespace attnlab
