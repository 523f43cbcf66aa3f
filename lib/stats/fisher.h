// Two arms on different problems, each right or wrong.
#pragma once

#include <array>
#include <cstdint>

namespace attnlab {

// Rows: arms; columns: right, wrong.
using ContingencyTable = std::array<std::array<int64_t, 2>, 2>;

// Given the table's margins, its first entry has a hypergeometric distribution if the arms are alike.
struct FisherExact {
  double p_two_sided = 1;  // of all tables that are not likelier than this one
  double p_greater = 1;    // of a first entry as large or larger
  double p_less = 1;       // of a first entry as small or smaller
};
// Fisher's exact test (Fisher 1935). Counts >= 0, their sum below 2³¹.
FisherExact fisher_exact(const ContingencyTable& table);

}  // namespace attnlab
