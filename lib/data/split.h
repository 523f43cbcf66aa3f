// Which examples are for training, which for choosing, which for the final test.
#pragma once

#include <string_view>

#include "core/names.h"

namespace attnlab {

enum class Split { train, valid, test };

template <>
struct EnumNames<Split> {
  static constexpr std::array<std::pair<std::string_view, Split>, 3> rows{
      {{"train", Split::train}, {"valid", Split::valid}, {"test", Split::test}}};
};

// The split that a generated problem belongs to: a function of its content alone (90 % train, 5 % valid, 5 %
// test), so that no seed, index or difficulty can put the same problem into two splits.
Split split_of(std::string_view content);

}  // namespace attnlab
