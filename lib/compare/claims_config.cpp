#include "compare/claims_config.h"

#include <algorithm>
#include <set>

#include "compare/measured_table.h"
#include "config/document.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse(const Node& node, const std::string& key, const std::string& found,
                         const std::string& expected) {
  throw InputError({.file = node.file, .line = node.line, .key = key, .found = found, .expected = expected});
}

// A key that one expectation needs and all others refuse.
void check_companion(const Node& node, const std::string& key, bool given, bool admitted, bool needed,
                     std::string_view expect) {
  std::string shown = "expect: ";
  shown += expect;
  if (needed && !given) refuse(node, key, "nothing", "a value, since " + shown);
  if (given && !admitted)
    refuse(*node.find(key.substr(key.rfind('.') + 1)), key, "a value", "none with " + shown);
}

RunsTest read_runs_test(const Node& node, const std::string& prefix) {
  const auto test = read_config<RunsTest>(node, prefix);
  const auto expect = test.expect;
  const auto name = name_of(expect);
  const bool bounded =
      expect == Expectation::equal || expect == Expectation::not_higher || expect == Expectation::not_lower;
  const bool one_sided = expect == Expectation::lower || expect == Expectation::higher;
  check_companion(node, prefix + ".within", test.within.has_value(), bounded, bounded, name);
  check_companion(node, prefix + ".by", test.by.has_value(), one_sided, false, name);
  const bool gains = expect == Expectation::smaller_gain;
  if (gains) check_companion(node, prefix + ".matters", test.matters.has_value(), false, false, name);
  for (const auto& [key, given] : {std::pair{"alpha", test.alpha}, {"power", test.power}})
    if (given && !test.matters)
      refuse(*node.find(key), prefix + "." + key, "a value", "matters beside it: it is for the plan");
  check_companion(node, prefix + ".than", test.than.has_value(), gains, gains, name);
  return test;
}

ColumnFilter read_filter(const Node& node, const std::string& key, const std::string& column, bool is_text) {
  if (node.kind != Node::Kind::scalar) detail::wrong_kind(node, key, "one value");
  ColumnFilter filter{.column = column, .text = node.text};
  if (is_text) return filter;
  const size_t digits = std::min(node.text.find_first_not_of("<=> "), node.text.size());
  filter.relation = node.text.substr(0, node.text.find_last_not_of(' ', digits == 0 ? 0 : digits - 1) + 1);
  if (digits == 0) filter.relation = "=";
  static const std::set<std::string> relations{"=", "<", "<=", ">", ">="};
  Node number = node;
  number.text = node.text.substr(digits);
  number.quoted = false;
  try {
    detail::read_leaf(number, key, Key{"", ""}, filter.number);
  } catch (const InputError&) {
    filter.relation.clear();
  }
  if (!relations.contains(filter.relation))
    detail::wrong_kind(node, key, "a number, or one behind <, <=, > or >=");
  return filter;
}

std::vector<ColumnFilter> read_filters(const Node& parent, const std::string& prefix, const char* name,
                                       MeasuredTable table) {
  const Node* node = parent.find(name);
  if (!node) return {};
  const std::string key = prefix + "." + name;
  if (node->kind != Node::Kind::map) detail::wrong_kind(*node, key, "a map of columns");
  std::vector<ColumnFilter> filters;
  for (const auto& [column, value] : node->entries) {
    const auto kind = column_kind(table, column);
    if (!kind) detail::unknown_key(value, key + "." + column, column, column_names(table));
    filters.push_back(read_filter(value, key + "." + column, column, *kind == ColumnKind::text));
  }
  return filters;
}

MeasuredTest read_measured_test(const Node& node, const std::string& prefix) {
  auto test = read_config<MeasuredTest>(node, prefix, {"where", "against"});
  test.where = read_filters(node, prefix, "where", test.table);
  test.against = read_filters(node, prefix, "against", test.table);
  const auto kind = column_kind(test.table, test.value);
  if (!kind || *kind == ColumnKind::text)
    detail::wrong_name(*node.find("value"), prefix + ".value", number_columns(test.table));
  const Node* match = node.find("match");
  for (size_t i = 0; i < test.match.size(); ++i)
    if (!column_kind(test.table, test.match[i]))
      detail::wrong_name(match->items[i], prefix + ".match", column_names(test.table));
  if (test.where.empty()) refuse(node, prefix + ".where", "nothing", "the rows that the claim is about");
  const bool compared = test.compare != Compare::nothing;
  if (compared && test.against.empty())
    refuse(node, prefix + ".against", "nothing", "the columns in which the other rows differ");
  if (!compared && !test.against.empty())
    refuse(*node.find("against"), prefix + ".against", "columns", "none without compare: ratio or difference");
  return test;
}

ClaimTest read_kind(const std::string& kind, const Node& keys, const std::string& key) {
  if (kind == "runs") return {.runs = read_runs_test(keys, key)};
  if (kind == "conversion_logits") return {.conversion_logits = read_config<ConversionTest>(keys, key)};
  return {.measured = read_measured_test(keys, key)};
}

ClaimTest read_test(const Node& node, const std::string& prefix) {
  static const std::vector<std::string> known{"runs", "conversion_logits", "measured", "optional"};
  if (node.kind != Node::Kind::map) detail::wrong_kind(node, prefix, "a map with one kind of test");
  std::optional<ClaimTest> test;
  bool optional = false;
  for (const auto& [name, keys] : node.entries) {
    const std::string key = prefix + "." + name;
    if (std::find(known.begin(), known.end(), name) == known.end()) detail::unknown_key(keys, key, name, known);
    if (name == "optional")
      detail::read_leaf(keys, key, Key{"", ""}, optional);
    else if (test)
      refuse(keys, key, "a second kind of test", "one for each item of the list");
    else
      test = read_kind(name, keys, key);
  }
  if (!test) refuse(node, prefix, "no test", "one of runs, conversion_logits, measured");
  test->optional = optional;
  return *test;
}

Claim read_claim(const Node& node, const std::string& prefix) {
  auto claim = read_config<Claim>(node, prefix, {"test"});
  const Node* tests = node.find("test");
  if (!tests || tests->kind != Node::Kind::list || tests->items.empty())
    detail::wrong_kind(tests ? *tests : node, prefix + ".test", "a list of tests");
  for (size_t i = 0; i < tests->items.size(); ++i) {
    std::string key = prefix + ".test[" + std::to_string(i);
    key += "]";
    claim.tests.push_back(read_test(tests->items[i], key));
  }
  return claim;
}

}  // namespace

std::vector<Claim> read_claims(const std::filesystem::path& file) {
  const Node root = parse_yaml_file(file);
  if (root.kind != Node::Kind::list)
    throw InputError({.file = file.string(), .found = root.describe(), .expected = "a list of claims"});
  std::vector<Claim> claims;
  std::set<std::string> ids;
  for (size_t i = 0; i < root.items.size(); ++i) {
    std::string prefix = "[" + std::to_string(i);
    prefix += "]";
    const Node& node = root.items[i];
    claims.push_back(read_claim(node, prefix));
    if (!ids.insert(claims.back().id).second)
      refuse(*node.find("id"), prefix + ".id", "'" + claims.back().id + "' again", "an id of its own");
  }
  return claims;
}

}  // namespace attnlab
