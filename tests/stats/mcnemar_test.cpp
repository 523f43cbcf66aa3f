#include "stats/mcnemar.h"

#include "stats/fisher.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;

TEST_CASE("discordant pairs are those where exactly one arm is right") {
  const std::vector<uint8_t> x{1, 1, 0, 0, 1}, y{1, 0, 1, 0, 0};
  const Discordant counts = count_discordant(x, y);
  CHECK(counts.only_x == 2);
  CHECK(counts.only_y == 1);
  CHECK(counts.total() == 3);
  CHECK(counts.pairs == 5);
  check_close(counts.difference(), 0.2);
  CHECK(std::isnan(count_discordant({}, {}).difference()));
}

TEST_CASE("counting pairs refuses unequal lengths and what is neither right nor wrong") {
  const std::vector<uint8_t> one{1}, two{1, 0}, odd{2};
  CHECK(aborts([&] { count_discordant(one, two); }));
  CHECK(aborts([&] { count_discordant(odd, one); }));
  CHECK(aborts([&] { count_discordant(one, odd); }));
}

TEST_CASE("McNemar's tests of a split that can be counted by hand") {
  const McNemar found = mcnemar(1, 4);  // P(K <= 1) = 6/32, P(K = 1) = 5/32
  check_close(found.exact, 12.0 / 32);
  check_close(found.mid_p, 7.0 / 32);
  check_close(found.chi2, std::erfc(std::sqrt(9.0 / 5 / 2)));
  check_close(found.chi2_continuity, std::erfc(std::sqrt(4.0 / 5 / 2)));
  CHECK(mcnemar(4, 1).exact == found.exact);
}

TEST_CASE("no discordant pair and an even split show nothing") {
  for (const McNemar& found : {mcnemar(0, 0), mcnemar(7, 7)}) {
    CHECK(found.exact == 1);
    CHECK(found.mid_p == Approx(1).epsilon(1e-14));
    CHECK(found.chi2 == 1);
  }
  CHECK(mcnemar(0, 0).chi2_continuity == 1);
  CHECK(mcnemar(7, 7).chi2_continuity < 1);  // (|b - c| - 1)² is 1
  CHECK(aborts([] { mcnemar(-1, 2); }));
  CHECK(aborts([] { mcnemar(2, -1); }));
}

TEST_CASE("Fisher's test of tables that can be counted by hand") {
  // Margins 4, 4, 4, 4: C(4, k)² of C(8, 4) = 70 tables have k first.
  const FisherExact found = fisher_exact({{{3, 1}, {1, 3}}});
  check_close(found.p_greater, 17.0 / 70);
  check_close(found.p_less, 69.0 / 70);
  check_close(found.p_two_sided, 34.0 / 70);
  CHECK(fisher_exact({{{0, 0}, {0, 0}}}).p_two_sided == 1);
  CHECK(fisher_exact({{{0, 5}, {0, 9}}}).p_two_sided == 1);
  CHECK(aborts([] { fisher_exact({{{-1, 2}, {3, 4}}}); }));
  CHECK(aborts([] { fisher_exact({{{int64_t{1} << 31, 2}, {3, 4}}}); }));
}

TEST_CASE("McNemar's and Fisher's tests agree with SciPy and statsmodels") {
  REQUIRE_ROWS(splits, "mcnemar", 32);
  for (const auto& row : splits) {
    const McNemar found = mcnemar(row["b"], row["c"]);
    check_close(found.exact, row["exact"]);
    check_close(found.mid_p, row["mid_p"]);
    check_close(found.chi2, row.value("chi2", 1.0));
    check_close(found.chi2_continuity, row.value("chi2_continuity", 1.0));
  }
  REQUIRE_ROWS(tables, "fisher_exact", 9);
  for (const auto& row : tables) {
    const FisherExact found = fisher_exact(row["table"].get<ContingencyTable>());
    check_close(found.p_two_sided, row["p_two_sided"]);
    check_close(found.p_greater, row["p_greater"]);
    check_close(found.p_less, row["p_less"]);
  }
}

}  // namespace
}  // namespace attnlab
