#include "stats/multiple_tests.h"

#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;
using test::Values;

void check_all_close(const Values& found, const Values& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) check_close(found[i], expected[i], 1e-12);
}

TEST_CASE("adjusted p values of four tests by hand") {
  const Values p{0.01, 0.04, 0.03, 0.005};
  check_all_close(adjusted_p(p, Adjustment::bonferroni), {0.04, 0.16, 0.12, 0.02});
  check_all_close(adjusted_p(p, Adjustment::holm), {0.03, 0.06, 0.06, 0.02});  // 0.04 · 1 is raised to 0.03 · 2
  // 0.01 · 4/2, 0.04 · 4/4, 0.03 · 4/3, and 0.005 · 4/1
  check_all_close(adjusted_p(p, Adjustment::benjamini_hochberg), {0.02, 0.04, 0.04, 0.02});
  CHECK(rejected(p, Adjustment::holm) == std::vector{true, false, false, true});
  CHECK(rejected(p, Adjustment::benjamini_hochberg) == std::vector{true, true, true, true});
  CHECK(rejected(Values{0.05}, Adjustment::bonferroni, 0.05)[0]);  // at alpha itself
}

TEST_CASE("a test that could not be made does not count as one") {
  const Values p{0.02, std::nan(""), 0.04};
  for (const auto& [name, method] : EnumNames<Adjustment>::rows) {
    const Values found = adjusted_p(p, method), without = adjusted_p(Values{0.02, 0.04}, method);
    CAPTURE(std::string(name));
    CHECK(found[0] == without[0]);
    CHECK(std::isnan(found[1]));
    CHECK(found[2] == without[1]);
    CHECK_FALSE(rejected(p, method)[1]);
  }
  CHECK(adjusted_p(Values{}, Adjustment::holm).empty());
}

TEST_CASE("adjusting refuses what is no probability") {
  CHECK(aborts([] { adjusted_p(Values{1.5}, Adjustment::holm); }));
  CHECK(aborts([] { adjusted_p(Values{-0.1}, Adjustment::holm); }));
  CHECK(aborts([] { rejected(Values{0.1}, Adjustment::holm, 0); }));
  CHECK(aborts([] { rejected(Values{0.1}, Adjustment::holm, 1); }));
}

TEST_CASE("adjusted p values agree with statsmodels") {
  REQUIRE_ROWS(rows, "multiple_tests", 9);
  for (const auto& row : rows)
    for (const auto& [name, method] : EnumNames<Adjustment>::rows) {
      CAPTURE(std::string(name), row["p"].dump());
      const auto& expected = row[std::string(name)];
      check_all_close(adjusted_p(row["p"].get<Values>(), method), expected["adjusted"].get<Values>());
      CHECK(rejected(row["p"].get<Values>(), method, row["alpha"]) ==
            expected["reject"].get<std::vector<bool>>());
    }
}

}  // namespace
}  // namespace attnlab
