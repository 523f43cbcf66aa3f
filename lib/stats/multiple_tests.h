// Many arms against one baseline: the more tests, the likelier that one of them is "significant" by chance.
#pragma once

#include <span>
#include <vector>

#include "core/names.h"

namespace attnlab {

// bonferroni, holm: at most α of a false rejection among all tests (Holm 1979 rejects all that Bonferroni does,
// and more). benjamini_hochberg: at most α of the rejections are false, on average (Benjamini, Hochberg 1995).
enum class Adjustment { bonferroni, holm, benjamini_hochberg };

template <>
struct EnumNames<Adjustment> {
  static constexpr std::array<std::pair<std::string_view, Adjustment>, 3> rows{
      {{"bonferroni", Adjustment::bonferroni},
       {"holm", Adjustment::holm},
       {"benjamini_hochberg", Adjustment::benjamini_hochberg}}};
};

// Adjusted p values, in the order of the input: a test is rejected at level α if its adjusted p is <= α. NaN
// (no test could be made) stays NaN and does not count as a test; the others lie in 0 … 1.
std::vector<double> adjusted_p(std::span<const double> p, Adjustment method);

// adjusted_p(p)[i] <= alpha; false for NaN. 0 < alpha < 1.
std::vector<bool> rejected(std::span<const double> p, Adjustment method, double alpha = 0.05);

}  // namespace attnlab
