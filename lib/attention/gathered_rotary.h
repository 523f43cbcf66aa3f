// Variants that gather rotary position in few numbers which all heads share (shared_rotary.h): their options,
// and what follows from these. Without torch.
#pragma once

#include <cstdint>
#include <optional>

#include "attention/shape.h"
#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

// `collapse`: what turns of a head, over what keeps turning; `freqfold`: neighbouring frequencies taken as one.
struct GatheredRotary {
  int64_t freqfold = 1, collapse = 1;
};

// The numbers that keep rotary position.
int64_t gathered_width(const AttentionShape& shape, const GatheredRotary& rotary);
// Whether none is lost: one KV head, which keeps all of it.
bool keeps_rotary(const AttentionShape& shape, const GatheredRotary& rotary);

// Options of variants that leave the choice to their user.
template <class Self, class Visitor>
void visit_gathered_rotary(Self& self, Visitor& visit) {
  visit(Key{"freqfold", "neighbouring rotary frequencies that are taken as one; absent: collapse"}.at_least(1),
        self.freqfold);
  visit(Key{"collapse", "head_dim / this numbers keep rotary position; divides freqfold"}.at_least(1),
        self.collapse);
}
template <class Config>
GatheredRotary gathered_rotary(const Config& config) {
  return {.freqfold = config.freqfold.value_or(config.collapse), .collapse = config.collapse};
}

// Their part of a variant (variant.h).
template <class Options>
struct GatheringVariant {
  using Config = Options;
  static int64_t turning_dim(const AttentionShape& shape, const Config& config, int64_t /*base_turning_dim*/) {
    return gathered_width(shape, gathered_rotary(config));
  }
};

}  // namespace attnlab
