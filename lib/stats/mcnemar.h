// Two arms on the same problems, each right or wrong: only the problems on which they differ say which is
// better.
#pragma once

#include <cstdint>
#include <span>

namespace attnlab {

// How often exactly one of the two arms is right.
struct Discordant {
  int64_t only_x = 0, only_y = 0;
  int64_t pairs = 0;  // all problems
  int64_t total() const { return only_x + only_y; }
  // Accuracy of x less that of y; NaN for no problem.
  double difference() const { return static_cast<double>(only_x - only_y) / static_cast<double>(pairs); }
};
// x[i] and y[i]: 1 if the arm is right on problem i, else 0. Equal lengths.
Discordant count_discordant(std::span<const uint8_t> x, std::span<const uint8_t> y);

// Two-sided p values that both arms are equally often right, from the discordant counts b and c, of n = b + c.
// b = c = 0: all 1.
struct McNemar {
  // min(1, 2 P(K <= min(b, c))) with K ~ Binomial(n, ½): never rejects more often than α.
  double exact = 1;
  // 2 P(K <= min(b, c)) - P(K = min(b, c)): stays near α where the exact test lies below it (Fagerland,
  // Lydersen, Laake 2013, BMC Medical Research Methodology 13:91).
  double mid_p = 1;
  double chi2 = 1;             // (b - c)² / n with one degree of freedom (McNemar 1947)
  double chi2_continuity = 1;  // (|b - c| - 1)² / n (Edwards 1948)
};
McNemar mcnemar(int64_t b, int64_t c);

}  // namespace attnlab
