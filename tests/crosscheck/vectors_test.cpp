// The cases of other software that lie beside the checkout.
#include "catch.h"
#include "crosscheck/crosscheck.h"

namespace attnlab::test {
namespace {

TEST_CASE("mixers: cases of other software agree") {
  const auto folder = shared_dir() / "fixtures" / "mixers";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  int64_t agree = 0;
  crosscheck(CrosscheckKind::mixers, folder, [&](const CaseOutcome& outcome) {
    INFO(outcome.name << ": " << join(outcome.misses, "; "));
    CHECK(outcome.misses.empty());
    agree += outcome.agrees();
  });
  CHECK(agree >= 2);
}

TEST_CASE("gptq: cases of other software agree") {
  const auto folder = shared_dir() / "fixtures" / "gptq";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  int64_t agree = 0;
  crosscheck(CrosscheckKind::gptq, folder, [&](const CaseOutcome& outcome) {
    INFO(outcome.name << ": " << outcome.not_checked << join(outcome.misses, "; "));
    CHECK(outcome.agrees());
    agree += outcome.agrees();
  });
  CHECK(agree >= 133);
}

}  // namespace
}  // namespace attnlab::test
