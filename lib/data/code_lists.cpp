// Functions on lists of numbers: filters, mappings and reductions in all combinations, and list surgery.
#include <algorithm>

#include "data/code_families.h"
#include "data/str.h"

namespace attnlab {
namespace {

struct Filter {
  std::string name, phrase, condition;  // "even", " that are even", "v % 2 == 0"
  std::function<bool(int64_t)> holds;
};
struct Mapping {
  std::string name, phrase, expression;  // "squared", ", each squared", "v * v"
  std::function<int64_t(int64_t)> apply;
};

Filter simple_filter(Random& random, const CodeScale& scale) {
  const int64_t k = random.between(1, scale.constant), m = random.between(3, 9);
  switch (random.between(0, 6)) {
    case 0:
      return {"even", "even", "v % 2 == 0", [](int64_t v) { return v % 2 == 0; }};
    case 1:
      return {"odd", "odd", "v % 2 == 1", [](int64_t v) { return floor_mod(v, 2) == 1; }};
    case 2:
      return {"above", "greater than " + str(k), "v > " + str(k), [k](int64_t v) { return v > k; }};
    case 3:
      return {"below", "less than " + str(k), "v < " + str(k), [k](int64_t v) { return v < k; }};
    case 4:
      return {"multiple", "divisible by " + str(m), "v % " + str(m) + " == 0",
              [m](int64_t v) { return v % m == 0; }};
    case 5:
      return {"at_least", "at least " + str(k), "v >= " + str(k), [k](int64_t v) { return v >= k; }};
    default:
      return {"other", "not equal to " + str(k), "v != " + str(k), [k](int64_t v) { return v != k; }};
  }
}

Filter draw_filter(Random& random, const CodeScale& scale) {
  const Filter first = simple_filter(random, scale);
  if (!scale.compound || random.between(0, 1) == 0) return first;
  const Filter second = simple_filter(random, scale);
  if (second.name == first.name) return first;
  if (random.between(0, 1) == 0)
    return {first.name + "_and_" + second.name, first.phrase + " and " + second.phrase,
            first.condition + " and " + second.condition,
            [first, second](int64_t v) { return first.holds(v) && second.holds(v); }};
  return {first.name + "_or_" + second.name, first.phrase + " or " + second.phrase,
          first.condition + " or " + second.condition,
          [first, second](int64_t v) { return first.holds(v) || second.holds(v); }};
}

Mapping draw_mapping(Random& random, const CodeScale& scale) {
  const int64_t k = random.between(2, scale.constant);
  switch (random.between(0, 4)) {
    case 0:
      return {"squares", ", each squared", "v * v", [](int64_t v) { return v * v; }};
    case 1:
      return {"scaled", ", each multiplied by " + str(k), "v * " + str(k), [k](int64_t v) { return v * k; }};
    case 2:
      return {"raised", ", each increased by " + str(k), "v + " + str(k), [k](int64_t v) { return v + k; }};
    case 3:
      return {"lowered", ", each decreased by " + str(k), "v - " + str(k), [k](int64_t v) { return v - k; }};
    default:
      return {"negated", ", each negated", "-v", [](int64_t v) { return -v; }};
  }
}

Mapping identity() {
  return {"numbers", "", "v", [](int64_t v) { return v; }};
}

Numbers draw_numbers(Random& random, const CodeScale& scale) {
  Numbers values(static_cast<size_t>(random.between(2, scale.length)));
  for (int64_t& value : values) value = random.between(scale.low, scale.high);
  return values;
}

std::string list_parameter(Random& random) {
  static const Words names{"values", "numbers", "nums", "items", "data"};
  return random.pick(names);
}

// Fills the cases of a function from a list of numbers.
template <class Compute>
CodeDraft on_numbers(CodeDraft draft, Random& random, const CodeScale& scale, Compute compute) {
  add_cases(
      draft, [&] { return draw_numbers(random, scale); }, compute);
  return draft;
}

Numbers select(const Numbers& values, const Filter& filter, const Mapping& mapping) {
  Numbers out;
  for (const int64_t v : values)
    if (filter.holds(v)) out.push_back(mapping.apply(v));
  return out;
}

int64_t total(const Numbers& values) {
  int64_t sum = 0;
  for (const int64_t v : values) sum += v;
  return sum;
}

CodeDraft sum_filtered(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const Mapping mapping = scale.compose ? draw_mapping(random, scale) : identity();
  const std::string p = list_parameter(random);
  return on_numbers({.name = "sum_" + mapping.name + "_" + filter.name,
                     .parameters = p,
                     .result = "the sum of the numbers in the list that are " + filter.phrase + mapping.phrase,
                     .body = {"total = 0", "for v in " + p + ":", "    if " + filter.condition + ":",
                              "        total += " + mapping.expression, "return total"}},
                    random, scale,
                    [=](const Numbers& values) { return total(select(values, filter, mapping)); });
}

CodeDraft sum_mapped(Random& random, const CodeScale& scale) {
  const Mapping mapping = draw_mapping(random, scale);
  const std::string p = list_parameter(random);
  return on_numbers(
      {.name = "sum_" + mapping.name,
       .parameters = p,
       .result = "the sum of the numbers in the list" + mapping.phrase,
       .body = {"total = 0", "for v in " + p + ":", "    total += " + mapping.expression, "return total"}},
      random, scale, [=](const Numbers& values) {
        int64_t sum = 0;
        for (const int64_t v : values) sum += mapping.apply(v);
        return sum;
      });
}

CodeDraft count_filtered(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const std::string p = list_parameter(random);
  return on_numbers({.name = "count_" + filter.name,
                     .parameters = p,
                     .result = "how many numbers in the list are " + filter.phrase,
                     .body = {"count = 0", "for v in " + p + ":", "    if " + filter.condition + ":",
                              "        count += 1", "return count"}},
                    random, scale,
                    [=](const Numbers& values) { return int64_t(select(values, filter, identity()).size()); });
}

CodeDraft list_filtered(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const Mapping mapping = scale.compose && random.between(0, 1) == 0 ? draw_mapping(random, scale) : identity();
  const std::string p = list_parameter(random);
  return on_numbers(
      {.name = mapping.name + "_" + filter.name,
       .parameters = p,
       .result = "a list of the numbers that are " + filter.phrase + mapping.phrase,
       .body = {"return [" + mapping.expression + " for v in " + p + " if " + filter.condition + "]"}},
      random, scale, [=](const Numbers& values) { return select(values, filter, mapping); });
}

CodeDraft list_mapped(Random& random, const CodeScale& scale) {
  const Mapping mapping = draw_mapping(random, scale);
  const std::string p = list_parameter(random);
  const Filter all{"", "", "", [](int64_t) { return true; }};
  return on_numbers({.name = mapping.name + "_list",
                     .parameters = p,
                     .result = "a list of all the numbers" + mapping.phrase,
                     .body = {"return [" + mapping.expression + " for v in " + p + "]"}},
                    random, scale, [=](const Numbers& values) { return select(values, all, mapping); });
}

// The largest or smallest of the filtered numbers, a given number if there is none.
CodeDraft extreme(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const bool largest = random.between(0, 1) == 0;
  const int64_t none = random.between(-2, 0);
  const std::string p = list_parameter(random), function = largest ? "max" : "min";
  return on_numbers(
      {.name = function + "_" + filter.name,
       .parameters = p,
       .result = std::string("the ") + (largest ? "largest" : "smallest") + " number in the list that is " +
                 filter.phrase + ", or " + str(none) + " if there is none",
       .body = {"found = [v for v in " + p + " if " + filter.condition + "]",
                "return " + function + "(found) if found else " + str(none)}},
      random, scale, [=](const Numbers& values) {
        const Numbers found = select(values, filter, identity());
        if (found.empty()) return none;
        return largest ? *std::max_element(found.begin(), found.end())
                       : *std::min_element(found.begin(), found.end());
      });
}

CodeDraft first_filtered(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const int64_t none = random.between(-2, 0);
  const std::string p = list_parameter(random);
  return on_numbers({.name = "first_" + filter.name,
                     .parameters = p,
                     .result = "the first number in the list that is " + filter.phrase + ", or " + str(none) +
                               " if there is none",
                     .body = {"for v in " + p + ":", "    if " + filter.condition + ":", "        return v",
                              "return " + str(none)}},
                    random, scale, [=](const Numbers& values) {
                      const Numbers found = select(values, filter, identity());
                      return found.empty() ? none : found.front();
                    });
}

CodeDraft any_or_all(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const bool any = random.between(0, 1) == 0;
  const std::string p = list_parameter(random), function = any ? "any" : "all";
  return on_numbers({.name = function + "_" + filter.name,
                     .parameters = p,
                     .result = std::string("True if ") + (any ? "any number" : "every number") +
                               " in the list is " + filter.phrase + ", else False",
                     .body = {"return " + function + "(" + filter.condition + " for v in " + p + ")"}},
                    random, scale, [=](const Numbers& values) {
                      return any ? std::any_of(values.begin(), values.end(), filter.holds)
                                 : std::all_of(values.begin(), values.end(), filter.holds);
                    });
}

CodeDraft running_total(Random& random, const CodeScale& scale) {
  const int64_t start = random.between(1, scale.constant), factor = random.between(1, 5);
  const std::string p = list_parameter(random), step = factor == 1 ? "v" : "v * " + str(factor);
  return on_numbers({.name = "running_total",
                     .parameters = p,
                     .result = "the list of running totals that start from " + str(start) +
                               (factor == 1 ? "" : ", each number multiplied by " + str(factor)),
                     .body = {"total = " + str(start), "result = []", "for v in " + p + ":",
                              "    total += " + step, "    result.append(total)", "return result"}},
                    random, scale, [=](Numbers values) {
                      int64_t sum = start;
                      for (int64_t& v : values) v = sum += v * factor;
                      return values;
                    });
}

CodeDraft differences_between(Random& random, const CodeScale& scale) {
  const int64_t factor = random.between(2, scale.constant);
  const std::string p = list_parameter(random);
  return on_numbers(
      {.name = "scaled_differences",
       .parameters = p,
       .result =
           "the list of differences between each number and the one before it, multiplied by " + str(factor),
       .body = {"result = []", "for i in range(1, len(" + p + ")):",
                "    result.append((" + p + "[i] - " + p + "[i - 1]) * " + str(factor) + ")", "return result"}},
      random, scale, [=](const Numbers& values) {
        Numbers out;
        for (size_t i = 1; i < values.size(); ++i) out.push_back((values[i] - values[i - 1]) * factor);
        return out;
      });
}

CodeDraft clamp_list(Random& random, const CodeScale& scale) {
  const int64_t low = random.between(1, scale.constant), high = low + random.between(1, scale.constant);
  const std::string p = list_parameter(random);
  return on_numbers(
      {.name = "clamp_all",
       .parameters = p,
       .result = "the list with every number limited to the range from " + str(low) + " to " + str(high),
       .body = {"return [max(" + str(low) + ", min(" + str(high) + ", v)) for v in " + p + "]"}},
      random, scale, [=](Numbers values) {
        for (int64_t& v : values) v = std::clamp(v, low, high);
        return values;
      });
}

CodeDraft replace_number(Random& random, const CodeScale& scale) {
  const Filter filter = draw_filter(random, scale);
  const int64_t k = random.between(0, scale.constant);
  const std::string p = list_parameter(random);
  return on_numbers({.name = "replace_" + filter.name,
                     .parameters = p,
                     .result = "the list with every number that is " + filter.phrase + " replaced by " + str(k),
                     .body = {"return [" + str(k) + " if " + filter.condition + " else v for v in " + p + "]"}},
                    random, scale, [=](Numbers values) {
                      for (int64_t& v : values)
                        if (filter.holds(v)) v = k;
                      return values;
                    });
}

CodeDraft sum_of_top(Random& random, const CodeScale& scale) {
  const int64_t n = random.between(2, scale.length), k = random.between(1, scale.constant);
  const std::string p = list_parameter(random);
  return on_numbers({.name = "sum_largest",
                     .parameters = p,
                     .result = "the sum of the " + str(n) + " largest numbers in the list, plus " + str(k),
                     .body = {"largest = sorted(" + p + ", reverse=True)[:" + str(n) + "]",
                              "return sum(largest) + " + str(k)}},
                    random, scale, [=](Numbers values) {
                      std::sort(values.rbegin(), values.rend());
                      values.resize(std::min(values.size(), static_cast<size_t>(n)));
                      return total(values) + k;
                    });
}

CodeDraft every_nth(Random& random, const CodeScale& scale) {
  const int64_t start = random.between(0, 3), step = random.between(2, 4);
  const Mapping mapping = draw_mapping(random, scale);
  const std::string p = list_parameter(random);
  return on_numbers(
      {.name = "every_nth_" + mapping.name,
       .parameters = p,
       .result =
           "every " + str(step) + "th number of the list starting at index " + str(start) + mapping.phrase,
       .body = {"return [" + mapping.expression + " for v in " + p + "[" + str(start) + "::" + str(step) +
                "]]"}},
      random, scale, [=](const Numbers& values) {
        Numbers out;
        for (auto i = static_cast<size_t>(start); i < values.size(); i += static_cast<size_t>(step))
          out.push_back(mapping.apply(values[i]));
        return out;
      });
}

}  // namespace

const std::vector<CodeFamily>& list_families() {
  static const std::vector<CodeFamily> families{
      sum_filtered,   sum_mapped, count_filtered, list_filtered, list_mapped,         extreme,
      first_filtered, any_or_all, every_nth,      running_total, differences_between, clamp_list,
      replace_number, sum_of_top};
  return families;
}

}  // namespace attnlab
