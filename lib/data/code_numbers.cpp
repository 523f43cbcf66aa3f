// Functions of one number: formulas, branches and counting loops.
#include <algorithm>

#include "data/code_families.h"
#include "data/str.h"

namespace attnlab {
namespace {

template <class Compute>
CodeDraft on_number(CodeDraft draft, Random& random, const CodeScale& scale, Compute compute) {
  add_cases(
      draft, [&] { return random.between(std::max<int64_t>(scale.low, 0), scale.high); }, compute);
  return draft;
}

CodeDraft linear(Random& random, const CodeScale& scale) {
  const int64_t a = random.between(2, scale.constant), b = random.between(1, scale.constant);
  return on_number({.name = "scale_and_add",
                    .parameters = "x",
                    .result = "x multiplied by " + str(a) + " and then increased by " + str(b),
                    .body = {"return x * " + str(a) + " + " + str(b)}},
                   random, scale, [=](int64_t x) { return x * a + b; });
}

CodeDraft clamp_number(Random& random, const CodeScale& scale) {
  const int64_t low = random.between(1, scale.constant), high = low + random.between(1, scale.constant);
  return on_number({.name = "clamp",
                    .parameters = "x",
                    .result = "x limited to the range from " + str(low) + " to " + str(high),
                    .body = {"if x < " + str(low) + ":", "    return " + str(low), "if x > " + str(high) + ":",
                             "    return " + str(high), "return x"}},
                   random, scale, [=](int64_t x) { return std::clamp(x, low, high); });
}

CodeDraft piecewise(Random& random, const CodeScale& scale) {
  const int64_t limit = random.between(1, scale.constant), a = random.between(2, 9), b = random.between(1, 20);
  return on_number(
      {.name = "adjust",
       .parameters = "x",
       .result = "x times " + str(a) + " if x is greater than " + str(limit) + ", else x plus " + str(b),
       .body = {"if x > " + str(limit) + ":", "    return x * " + str(a), "return x + " + str(b)}},
      random, scale, [=](int64_t x) { return x > limit ? x * a : x + b; });
}

CodeDraft sum_multiples(Random& random, const CodeScale& scale) {
  const int64_t k = random.between(2, 12), start = random.between(0, scale.constant);
  return on_number({.name = "sum_multiples",
                    .parameters = "n",
                    .result = "the sum of " + str(start) + " and all multiples of " + str(k) + " from 1 to n",
                    .body = {"total = " + str(start), "for i in range(1, n + 1):",
                             "    if i % " + str(k) + " == 0:", "        total += i", "return total"}},
                   random, scale, [=](int64_t n) {
                     int64_t sum = start;
                     for (int64_t i = k; i <= n; i += k) sum += i;
                     return sum;
                   });
}

CodeDraft digit_sum(Random& random, const CodeScale& scale) {
  const int64_t k = random.between(2, scale.constant), b = random.between(0, 9);
  return on_number(
      {.name = "digit_score",
       .parameters = "n",
       .result = "the sum of the digits of n multiplied by " + str(k) + " plus " + str(b),
       .body = {"total = sum(int(d) for d in str(n))", "return total * " + str(k) + " + " + str(b)}},
      random, scale, [=](int64_t n) {
        int64_t sum = 0;
        for (; n > 0; n /= 10) sum += n % 10;
        return sum * k + b;
      });
}

CodeDraft label(Random& random, const CodeScale& scale) {
  static const Words words{"fizz", "buzz", "ping", "pong", "tick", "tock", "zip", "zap"};
  const int64_t a = random.between(2, 6), b = random.between(2, 9);
  const std::string first = random.pick(words), second = random.pick(words);
  return on_number({.name = "label_number",
                    .parameters = "n",
                    .result = "'" + first + "' if n is divisible by " + str(a) + ", '" + second +
                              "' if it is not but is divisible by " + str(b) + ", else n as a string",
                    .body = {"if n % " + str(a) + " == 0:", "    return '" + first + "'",
                             "if n % " + str(b) + " == 0:", "    return '" + second + "'", "return str(n)"}},
                   random, scale, [=](int64_t n) {
                     return n % a == 0 ? first : n % b == 0 ? second : std::to_string(n);
                   });
}

CodeDraft order_cost(Random& random, const CodeScale& scale) {
  const int64_t price = random.between(2, scale.constant), fee = random.between(2, 10);
  const int64_t limit = price * random.between(2, 8);
  return on_number({.name = "order_cost",
                    .parameters = "count",
                    .result = "the cost of count pieces at " + str(price) + " each, with a fee of " + str(fee) +
                              " added if the cost is below " + str(limit),
                    .body = {"cost = count * " + str(price), "if cost < " + str(limit) + ":",
                             "    cost += " + str(fee), "return cost"}},
                   random, scale, [=](int64_t n) { return n * price < limit ? n * price + fee : n * price; });
}

CodeDraft repeated(Random& random, const CodeScale& scale) {
  const int64_t times = random.between(2, 5), factor = random.between(2, 3),
                b = random.between(1, scale.constant);
  return on_number({.name = "repeat_update",
                    .parameters = "x",
                    .result = "x after it is multiplied by " + str(factor) + " and increased by " + str(b) +
                              ", " + str(times) + " times in a row",
                    .body = {"for _ in range(" + str(times) + "):",
                             "    x = x * " + str(factor) + " + " + str(b), "return x"}},
                   random, scale, [=](int64_t x) {
                     for (int64_t i = 0; i < times; ++i) x = x * factor + b;
                     return x;
                   });
}

CodeDraft divisors(Random& random, const CodeScale& scale) {
  const int64_t least = random.between(1, scale.constant);
  return on_number({.name = "divisors_from",
                    .parameters = "n",
                    .result = "the list of divisors of n that are at least " + str(least),
                    .body = {"return [d for d in range(" + str(least) + ", n + 1) if n % d == 0]"}},
                   random, scale, [=](int64_t n) {
                     Numbers out;
                     for (int64_t d = least; d <= n; ++d)
                       if (n % d == 0) out.push_back(d);
                     return out;
                   });
}

CodeDraft in_range(Random& random, const CodeScale& scale) {
  const int64_t low = random.between(1, scale.constant), high = low + random.between(1, scale.constant);
  return on_number(
      {.name = "in_range",
       .parameters = "x",
       .result = "True if x is at least " + str(low) + " and less than " + str(high) + ", else False",
       .body = {"return " + str(low) + " <= x < " + str(high)}},
      random, scale, [=](int64_t x) { return low <= x && x < high; });
}

}  // namespace

const std::vector<CodeFamily>& number_families() {
  static const std::vector<CodeFamily> families{linear, clamp_number, piecewise, sum_multiples, digit_sum,
                                                label,  order_cost,   repeated,  divisors,      in_range};
  return families;
}

}  // namespace attnlab
