// A claims file as typed structs. experiments/claims.yaml shows all of it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/node.h"
#include "core/fields.h"

namespace attnlab {

enum class Expectation { lower, higher, not_higher, not_lower, equal, smaller_gain };
template <>
struct EnumNames<Expectation> {
  static constexpr std::array<std::pair<std::string_view, Expectation>, 6> rows{
      {{"lower", Expectation::lower},
       {"higher", Expectation::higher},
       {"not_higher", Expectation::not_higher},
       {"not_lower", Expectation::not_lower},
       {"equal", Expectation::equal},
       {"smaller_gain", Expectation::smaller_gain}}};
};

// Two arms of an experiment, paired over seeds. Patterns: "*" and "?" as in a shell, several behind commas;
// each experiment, sweep point and task that fits is a part of its own.
struct RunsTest {
  std::string experiment, sweep_point = "*", arm, against, metric, protocol = "*";
  Expectation expect = Expectation::lower;
  std::optional<double> by, within, matters, alpha, power;
  std::optional<std::string> than;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"experiment", "pattern of the experiments' names"}.must_be_given(), self.experiment);
    visit(Key{"sweep_point", "pattern of the sweep points"}, self.sweep_point);
    visit(Key{"arm", "the arm that the claim is about"}.must_be_given(), self.arm);
    visit(Key{"against", "the arm that it is compared with"}.must_be_given(), self.against);
    visit(Key{"metric", "training_loss, heldout_loss, accuracy, patterns of task labels"}.must_be_given(),
          self.metric);
    visit(Key{"protocol", "pattern of a task's protocols"}, self.protocol);
    visit(Key{"expect", "what the claim says of arm less against"}.must_be_given(), self.expect);
    visit(Key{"by", "lower or higher by more than this: nats per token, points"}, self.by);
    visit(Key{"within", "not higher, not lower, or equal up to this: nats per token, points"}.above(0),
          self.within);
    visit(Key{"matters", "the smallest difference that matters: nats per token, points"}.above(0),
          self.matters);
    visit(Key{"alpha", "where it is planned (run_ablation --claims): its level, shared by all claims"}
              .above(0)
              .at_most(0.5),
          self.alpha);
    visit(Key{"power", "where it is planned: chance to show a difference of `matters`"}.above(0).at_most(0.999),
          self.power);
    visit(Key{"than", "smaller_gain: the arm whose gain over `against` is larger"}, self.than);
  }
};

enum class ConversionMeasure { max_logit_difference, mean_logit_difference, kl_divergence };
template <>
struct EnumNames<ConversionMeasure> {
  static constexpr std::array<std::pair<std::string_view, ConversionMeasure>, 3> rows{
      {{"max_logit_difference", ConversionMeasure::max_logit_difference},
       {"mean_logit_difference", ConversionMeasure::mean_logit_difference},
       {"kl_divergence", ConversionMeasure::kl_divergence}}};
};

// How far an arm lies from the base before training, as its runs' files tell (/conversion).
struct ConversionTest {
  std::string experiment, sweep_point = "*", arm;
  ConversionMeasure value = ConversionMeasure::max_logit_difference;
  double below = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"experiment", "pattern of the experiments' names"}.must_be_given(), self.experiment);
    visit(Key{"sweep_point", "pattern of the sweep points"}, self.sweep_point);
    visit(Key{"arm", "the arm that was converted"}.must_be_given(), self.arm);
    visit(Key{"value", "what is small if the conversion is exact"}, self.value);
    visit(Key{"below", "the largest value that rounding explains"}.above(0).must_be_given(), self.below);
  }
};

enum class MeasuredTable { conversions, decode_steps, served, fits, caches };
template <>
struct EnumNames<MeasuredTable> {
  static constexpr std::array<std::pair<std::string_view, MeasuredTable>, 5> rows{
      {{"conversions", MeasuredTable::conversions},
       {"decode_steps", MeasuredTable::decode_steps},
       {"served", MeasuredTable::served},
       {"fits", MeasuredTable::fits},
       {"caches", MeasuredTable::caches}}};
};

enum class Compare { nothing, ratio, difference };
template <>
struct EnumNames<Compare> {
  static constexpr std::array<std::pair<std::string_view, Compare>, 3> rows{
      {{"nothing", Compare::nothing}, {"ratio", Compare::ratio}, {"difference", Compare::difference}}};
};

enum class Side { above, below };
template <>
struct EnumNames<Side> {
  static constexpr std::array<std::pair<std::string_view, Side>, 2> rows{
      {{"above", Side::above}, {"below", Side::below}}};
};

// A condition on a column: a pattern of text, or a number behind "", "<", "<=", ">" or ">=".
struct ColumnFilter {
  std::string column, text;
  std::string relation;  // of a number: "=", "<", "<=", ">", ">="; of text: ""
  double number = 0;
};

// Rows of measurements: a value of theirs, or its ratio or difference to the value of another row.
struct MeasuredTest {
  MeasuredTable table = MeasuredTable::conversions;
  std::string value;
  Compare compare = Compare::nothing;
  Side expect = Side::above;
  double bound = 0;
  std::vector<std::string> match;
  // The rows, and those that they are compared with, which differ from them in these columns alone. Not read
  // by `fields`.
  std::vector<ColumnFilter> where, against;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"table", "conversions, decode_steps, served, fits or caches"}.must_be_given(), self.table);
    visit(Key{"value", "column of numbers"}.must_be_given(), self.value);
    visit(Key{"compare", "where over against, where less against, or nothing"}, self.compare);
    visit(Key{"expect", "on which side of the bound the number is claimed to lie"}.must_be_given(),
          self.expect);
    visit(Key{"bound", "the claimed number"}.must_be_given(), self.bound);
    visit(Key{"match", "columns that a row and the one it is compared with share; absent: all others"},
          self.match);
  }
};

// One of the three.
struct ClaimTest {
  std::optional<RunsTest> runs;
  std::optional<ConversionTest> conversion_logits;
  std::optional<MeasuredTest> measured;
  bool optional = false;  // left out where it has no data, unless all tests of the claim are
};

struct Claim {
  std::string id, sentence, source, claimed, needed, command;
  std::vector<ClaimTest> tests;  // key `test`

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"id", "short name, used once"}.must_be_given(), self.id);
    visit(Key{"sentence", "what the paper says"}.must_be_given(), self.sentence);
    visit(Key{"source", "version and section of the paper"}.must_be_given(), self.source);
    visit(Key{"claimed", "the paper's number"}, self.claimed);
    visit(Key{"needed", "what would be needed to show it"}.must_be_given(), self.needed);
    visit(Key{"command", "that makes the data"}.must_be_given(), self.command);
  }
};

// Throws InputError with file and line.
std::vector<Claim> read_claims(const std::filesystem::path& file);

}  // namespace attnlab
