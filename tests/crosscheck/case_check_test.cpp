// What counts as agreeing.
#include "crosscheck/case_check.h"

#include <limits>

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "crosscheck/crosscheck.h"

namespace attnlab::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

torch::Tensor row(std::vector<double> values) { return torch::tensor(values, torch::kFloat64); }

CaseOutcome compared(const torch::Tensor& ours, const torch::Tensor& expected, Allowed allowed) {
  return check_case("case", [&](CaseCheck& check) { check.compare("x", ours, expected, allowed); });
}

TEST_CASE("a difference agrees up to the bound, and counts by the largest expected number") {
  CHECK(compared(row({1, 100}), row({1.5, 100}), {.absolute = 0.5}).agrees());
  CHECK_FALSE(compared(row({1, 100}), row({1.6, 100}), {.absolute = 0.5}).agrees());
  CHECK(compared(row({1, 100}), row({1.6, 100}), {.relative = 0.01}).agrees());
  const auto outcome = compared(row({1, 2}), row({1, 4}), {.relative = 0.25});
  CHECK(outcome.largest == 2);
  CHECK(outcome.allowed == 1);
  CHECK_THAT(outcome.misses.at(0), ContainsSubstring("x: 2.00e+00 apart, 1.00e+00 allowed"));
}

TEST_CASE("another shape, NaN and an infinity of one side alone never agree") {
  CHECK_FALSE(compared(row({1, 2}), row({1}), {.absolute = 9}).agrees());
  CHECK_FALSE(compared(row({std::nan("")}), row({1}), {.absolute = 9}).agrees());
  CHECK_FALSE(compared(row({1}), row({std::nan("")}), {.absolute = 9}).agrees());
  CHECK_FALSE(compared(row({kInfinity}), row({1}), {.absolute = 9}).agrees());
  CHECK_FALSE(compared(row({-kInfinity}), row({kInfinity}), {.absolute = 9}).agrees());
  CHECK(compared(row({-kInfinity, 1}), row({-kInfinity, 1}), {}).agrees());
}

TEST_CASE("the farthest comparison is told by its share of what is allowed") {
  const auto outcome = check_case("case", [](CaseCheck& check) {
    check.compare("near", 1.0, 1.5, {.absolute = 1});
    check.compare("far", 1.0, 1.01, {.absolute = 0.011});
  });
  CHECK(outcome.worst == "far");
  CHECK(outcome.comparisons == 2);
  CHECK(outcome.agrees());
}

TEST_CASE("integers may differ in the stated share alone") {
  const auto differing = [](double share) {
    return check_case("case", [&](CaseCheck& check) {
      check.equal("codes", torch::arange(10), torch::arange(10).clone().index_fill_(0, torch::tensor({3}), 7),
                  share);
    });
  };
  CHECK_FALSE(differing(0).agrees());
  CHECK_FALSE(differing(0.05).agrees());
  CHECK(differing(0.1).agrees());
}

TEST_CASE("a case that compares nothing, that is not known or that can't be read does not agree") {
  CHECK_FALSE(check_case("case", [](CaseCheck&) {}).agrees());
  CHECK_FALSE(check_case("case", [](CaseCheck& check) { check.not_checked("unknown"); }).agrees());
  const auto unreadable =
      check_case("case", [](CaseCheck&) { throw InputError(std::string("no such tensor")); });
  CHECK_FALSE(unreadable.agrees());
  CHECK_THAT(unreadable.misses.at(0), ContainsSubstring("no such tensor"));
}

TEST_CASE("a folder without cases, and one that is not there, are refused") {
  const TemporaryFolder folder;
  const auto check = [](const std::filesystem::path& path) {
    crosscheck(CrosscheckKind::mixers, path, [](const auto&) {});
  };
  CHECK_THROWS_WITH(check(folder.path()), ContainsSubstring("no case"));
  CHECK_THROWS_WITH(check(folder.path() / "none"), ContainsSubstring("no such folder"));
}

TEST_CASE("a fact that is missing or of another type is refused by its key") {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "a.safetensors", {{"x", torch::zeros({2})}});
  write_file_atomic(folder.path() / "a.json", R"({"n_heads": "four"})");
  const auto files = find_case_files(folder.path());
  REQUIRE(files.size() == 1);
  CHECK(files[0].name == "a");
  CHECK_THROWS_WITH(files[0].integer("n_heads"),
                    ContainsSubstring("n_heads") && ContainsSubstring("an integer"));
  CHECK_THROWS_WITH(files[0].text("source"), ContainsSubstring("source: found nothing"));
}

}  // namespace
}  // namespace attnlab::test
