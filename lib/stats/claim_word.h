// The word that a claim gets from an interval and the smallest difference that matters.
#pragma once

#include "stats/intervals.h"

namespace attnlab {

// What is claimed of the difference of two arms: that it lies on one side of 0, that it is no more than the
// smallest difference that matters on one side, or on both.
enum class ClaimDirection { lower, higher, not_higher, not_lower, equal };
template <>
struct EnumNames<ClaimDirection> {
  static constexpr std::array<std::pair<std::string_view, ClaimDirection>, 5> rows{
      {{"lower", ClaimDirection::lower},
       {"higher", ClaimDirection::higher},
       {"not_higher", ClaimDirection::not_higher},
       {"not_lower", ClaimDirection::not_lower},
       {"equal", ClaimDirection::equal}}};
};

enum class ClaimWord { supported, refuted, equivalent, inconclusive };
template <>
struct EnumNames<ClaimWord> {
  static constexpr std::array<std::pair<std::string_view, ClaimWord>, 4> rows{
      {{"supported", ClaimWord::supported},
       {"refuted", ClaimWord::refuted},
       {"equivalent", ClaimWord::equivalent},
       {"inconclusive", ClaimWord::inconclusive}}};
};

// With m the smallest difference that matters (> 0) and the whole interval of the difference:
//   equivalent    it lies inside ± m, whatever was claimed (of not_higher and not_lower: supported);
//   supported     lower: below 0; higher: above 0; not_higher: below m; not_lower: above -m;
//   refuted       lower: above -m (a difference that matters is excluded); higher: below m;
//                 not_higher: above m; not_lower: below -m; equal: outside ± m;
//   inconclusive  else, or without an interval.
ClaimWord claim_word(const Interval& difference, ClaimDirection claimed, double matters);

}  // namespace attnlab
