// Maps of queries and keys to positive features, whose products stand in for exp(q·k) in linear attention.
#pragma once

#include <cstdint>

#include "core/names.h"

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

}  // namespace attnlab
