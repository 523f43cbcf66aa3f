// Claims files that cannot be right: the message names file, line, key, and the nearest valid name.
#include "claims_support.h"
#include "core/errors.h"

namespace attnlab {
namespace {

using namespace test;

// Tests stand on line 8 and after.
std::string complaint(const std::string& tests) {
  try {
    judge_text(claim_text("c", tests), {});
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing";
}

std::string runs_test(const std::string& more) {
  return "- runs: {experiment: e, arm: a, against: b, metric: accuracy, " + more + "}";
}

std::string measured_test(const std::string& more) {
  return "- measured: {table: conversions, value: perplexity, expect: below, bound: 1, " + more + "}";
}

std::string file_complaint(const std::string& text) {
  try {
    judge_text(text, {});
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing";
}

TEST_CASE("well-formed claims raise no complaint") {
  CHECK(complaint(runs_test("expect: lower")) == "nothing");
  CHECK(complaint(measured_test("where: {rank: \">= 8\", options.kv_pca: w*}")) == "nothing");
}

TEST_CASE("unknown keys and names are refused with line and nearest name") {
  CHECK_THAT(complaint(runs_test("expect: lowr")),
             ContainsSubstring("claims.yaml:8: [0].test[0].runs.expect: found 'lowr'") &&
                 ContainsSubstring("did you mean 'lower'?"));
  CHECK_THAT(complaint(runs_test("expect: lower, sweep_pont: x")),
             ContainsSubstring(":8: [0].test[0].runs.sweep_pont: found an unknown key") &&
                 ContainsSubstring("did you mean 'sweep_point'?"));
  CHECK_THAT(complaint("- optional: true\n  measurd: {table: fits}"),
             ContainsSubstring(":9: [0].test[0].measurd") && ContainsSubstring("did you mean 'measured'?"));
  CHECK_THAT(complaint("- conversion_logits: {experiment: e, arm: a, below: 1, value: kl_divergance}"),
             ContainsSubstring("did you mean 'kl_divergence'?"));
}

TEST_CASE("tables and columns that do not exist are refused") {
  CHECK_THAT(complaint("- measured: {table: fit, value: error, expect: above, bound: 0, where: {seed: 1}}"),
             ContainsSubstring(".table: found 'fit'") && ContainsSubstring("did you mean 'fits'?"));
  CHECK_THAT(
      complaint(measured_test("where: {stge: compress}")),
      ContainsSubstring(":8: [0].test[0].measured.where.stge") && ContainsSubstring("did you mean 'stage'?"));
  CHECK_THAT(complaint("- measured: {table: fits, value: eror, expect: above, bound: 0, where: {seed: 1}}"),
             ContainsSubstring(".value: found 'eror'") && ContainsSubstring("did you mean 'error'?"));
  CHECK_THAT(complaint("- measured: {table: fits, value: teacher, expect: above, bound: 0, where: {seed: 1}}"),
             ContainsSubstring("expected one of seed, step, cached, parameters, error"));
  CHECK_THAT(complaint(measured_test("where: {rank: 1}, compare: ratio, against: {form: x}, match: [bse]")),
             ContainsSubstring(".match: found 'bse'") && ContainsSubstring("did you mean 'base'?"));
  CHECK_THAT(
      complaint("- measured: {table: fits, value: error, expect: above, bound: 0, where: {options.a: b}}"),
      ContainsSubstring("where.options.a: found an unknown key"));
}

TEST_CASE("conditions on numbers must be numbers") {
  for (const char* bad : {"many", "\">\"", "\"=>8\"", "\"> x\"", "[1, 2]"}) {
    INFO(bad);
    CHECK_THAT(complaint(measured_test("where: {rank: " + std::string(bad) + "}")),
               ContainsSubstring(".where.rank") && ContainsSubstring("expected"));
  }
}

TEST_CASE("an expectation needs its companion and refuses those of others") {
  CHECK_THAT(complaint(runs_test("expect: equal")),
             ContainsSubstring(".within: found nothing") && ContainsSubstring("since expect: equal"));
  CHECK_THAT(complaint(runs_test("expect: not_higher")), ContainsSubstring(".within: found nothing"));
  CHECK_THAT(complaint(runs_test("expect: smaller_gain")), ContainsSubstring(".than: found nothing"));
  CHECK_THAT(complaint(runs_test("expect: lower, within: 1")),
             ContainsSubstring(":8: [0].test[0].runs.within: found a value, expected none with expect: lower"));
  CHECK_THAT(complaint(runs_test("expect: equal, within: 1, by: 2")), ContainsSubstring(".by: found a value"));
  CHECK_THAT(complaint(runs_test("expect: lower, than: x")), ContainsSubstring(".than: found a value"));
  CHECK_THAT(complaint(runs_test("expect: equal, within: 0")), ContainsSubstring("a number above 0"));
}

TEST_CASE("measured tests need rows, and something to compare with only if they compare") {
  CHECK_THAT(complaint(measured_test("compare: nothing")), ContainsSubstring(".where: found nothing"));
  CHECK_THAT(complaint(measured_test("where: {rank: 1}, compare: ratio")),
             ContainsSubstring(".against: found nothing"));
  CHECK_THAT(complaint(measured_test("where: {rank: 1}, against: {rank: 2}")),
             ContainsSubstring(".against: found columns, expected none without compare"));
  CHECK_THAT(complaint(measured_test("where: [rank]")), ContainsSubstring(".where: found a list"));
}

TEST_CASE("a test is of one kind, and a claim has one at least") {
  CHECK_THAT(complaint(runs_test("expect: lower") + "\n  conversion_logits: {experiment: e, arm: a, below: 1}"),
             ContainsSubstring(":9: [0].test[0].conversion_logits: found a second kind of test"));
  CHECK_THAT(complaint("- optional: true"), ContainsSubstring("[0].test[0]: found no test"));
  CHECK_THAT(complaint("- runs"), ContainsSubstring("expected a map with one kind of test"));
  CHECK_THAT(file_complaint(claim_text("c", "[]")),
             ContainsSubstring("[0].test: found a list, expected a list of tests"));
}

TEST_CASE("a claims file is a list of whole claims with ids of their own") {
  const std::string good = claim_text("c", runs_test("expect: lower"));
  CHECK_THAT(file_complaint("a: b\n"), ContainsSubstring("expected a list of claims"));
  CHECK_THAT(file_complaint(good + good), ContainsSubstring(":9: [1].id: found 'c' again"));
  CHECK_THAT(file_complaint("- id: c\n"), ContainsSubstring(":1: [0].sentence: found nothing"));
  CHECK_THROWS_AS(judge_claims("nowhere/claims.yaml", {{}, {}}), InputError);
}

}  // namespace
}  // namespace attnlab
