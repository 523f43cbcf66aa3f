#include "stats/fisher.h"

#include <algorithm>
#include <boost/math/distributions/hypergeometric.hpp>
#include <limits>

#include "core/errors.h"

namespace attnlab {

FisherExact fisher_exact(const ContingencyTable& table) {
  const auto& [top, bottom] = table;
  ATTNLAB_CHECK(std::min({top[0], top[1], bottom[0], bottom[1]}) >= 0);
  const int64_t row = top[0] + top[1], column = top[0] + bottom[0], all = row + bottom[0] + bottom[1];
  ATTNLAB_CHECK(all <= std::numeric_limits<int32_t>::max());
  const boost::math::hypergeometric first(static_cast<uint64_t>(column), static_cast<uint64_t>(row),
                                          static_cast<uint64_t>(all));
  const auto probability = [&](int64_t k) { return boost::math::pdf(first, static_cast<uint64_t>(k)); };
  // Tables that are equally likely are to count whatever their last digits, as in R's fisher.test.
  const double limit = probability(top[0]) * (1 + 1e-7);
  FisherExact p{.p_two_sided = 0, .p_greater = 0, .p_less = 0};
  for (int64_t k = std::max<int64_t>(0, row + column - all); k <= std::min(row, column); ++k) {
    const double share = probability(k);
    if (share <= limit) p.p_two_sided += share;
    if (k >= top[0]) p.p_greater += share;
    if (k <= top[0]) p.p_less += share;
  }
  return {std::min(1.0, p.p_two_sided), std::min(1.0, p.p_greater), std::min(1.0, p.p_less)};
}

}  // namespace attnlab
