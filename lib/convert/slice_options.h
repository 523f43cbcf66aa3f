// Options of SliceGPT, as convert_model takes them. Without torch.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/fields.h"

namespace attnlab {

struct SliceOptions {
  static constexpr std::string_view kName = "slicegpt";
  double sparsity = 0.25;
  int64_t width = 0;
  int64_t round_interval = 8;
  bool slice_head = false;
  bool subtract_mean = false;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(
        Key{"sparsity", "part of d_model that is cut away; 0: the stream is rotated alone"}.at_least(0).at_most(
            1),
        self.sparsity);
    visit(Key{"width", "numbers that stay; 0: as sparsity says"}.at_least(0), self.width);
    visit(Key{"round_interval", "what sparsity leaves is rounded down to a multiple of this"}.at_least(1),
          self.round_interval);
    visit(Key{"slice_head", "the last layer's output and the output matrix are cut, too"}, self.slice_head);
    visit(Key{"subtract_mean",
              "embeddings less their mean first, as public code does to every model: not exact for RMS norms"},
          self.subtract_mean);
  }
};

}  // namespace attnlab
