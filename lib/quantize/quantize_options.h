// How matrices are made integers, and how these are stored. Without torch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

// Which numbers a group's grid holds.
struct GridOptions {
  int64_t bits = 4;
  bool sym = true;                 // the zero point is 2^(bits - 1)
  bool mse = false;                // search for the range with the least Σ |ŵ - w|^2.4
  bool halve_nonnegative = false;  // sym, as public GPTQ code: rows without negative numbers keep 0 as an end
  int64_t least_zero = 0;          // 1: what the hub's first layout can say (packed_matrix.h)
};

inline constexpr const char* halving_help =
    "sym, as public code: rows without negative numbers lose the upper half of their range";

// Options of GPTQ (arXiv 2210.17323), as convert_model takes them.
struct GptqOptions {
  static constexpr std::string_view kName = "gptq";
  int64_t bits = 4;
  int64_t group_size = 128;
  bool sym = true;
  bool act_order = false;
  bool static_groups = false;
  bool true_sequential = true;
  bool mse = false;
  bool halve_nonnegative = false;
  double damping = 0.01;
  int64_t block = 128;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"bits", "bits of a number: 2, 3, 4 or 8"}.at_least(2).at_most(8), self.bits);
    visit(Key{"group_size", "columns that share a scale and a zero point; -1: all"}.at_least(-1),
          self.group_size);
    visit(Key{"sym", "grids are symmetric: no zero points of their own"}, self.sym);
    visit(Key{"act_order", "columns with the largest inputs first (desc_act)"}, self.act_order);
    visit(Key{"static_groups", "grids come from the weights before GPTQ moves them"}, self.static_groups);
    visit(Key{"true_sequential", "a matrix sees the inputs that those before it in its layer give quantised"},
          self.true_sequential);
    visit(Key{"mse", "grids are searched for the least error, not the whole range"}, self.mse);
    visit(Key{"halve_nonnegative", halving_help}, self.halve_nonnegative);
    visit(Key{"damping", "part of the mean diagonal that is added to the Hessian"}.above(0).at_most(1),
          self.damping);
    visit(
        Key{"block", "columns that are updated together; with smaller groups it moves the result"}.at_least(1),
        self.block);
  }
  GridOptions grid() const {
    return {.bits = bits, .sym = sym, .mse = mse, .halve_nonnegative = halve_nonnegative};
  }
};

// Options of round to nearest.
struct RtnOptions {
  static constexpr std::string_view kName = "rtn";
  int64_t bits = 4;
  int64_t group_size = 128;
  bool sym = true;
  bool mse = false;
  bool halve_nonnegative = false;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"bits", "bits of a number: 2, 3, 4 or 8"}.at_least(2).at_most(8), self.bits);
    visit(Key{"group_size", "columns that share a scale and a zero point; -1: all"}.at_least(-1),
          self.group_size);
    visit(Key{"sym", "grids are symmetric: no zero points of their own"}, self.sym);
    visit(Key{"mse", "grids are searched for the least error, not the whole range"}, self.mse);
    visit(Key{"halve_nonnegative", halving_help}, self.halve_nonnegative);
  }
  GridOptions grid() const {
    return {.bits = bits, .sym = sym, .mse = mse, .halve_nonnegative = halve_nonnegative};
  }
};

// Why there are no such numbers, if so: other bits than the layout has, a group of no columns.
std::optional<BadInput> quantize_problem(int64_t bits, int64_t group_size);

// How many columns a group has, and how many groups a matrix of `in` columns; -1: one.
int64_t columns_of_group(int64_t group_size, int64_t in);
int64_t groups_of(int64_t group_size, int64_t in);

}  // namespace attnlab
