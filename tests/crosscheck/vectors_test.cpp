// The cases of other software that lie beside the checkout.
#include "catch.h"
#include "crosscheck/crosscheck.h"

namespace attnlab::test {
namespace {

// Of the cases in a folder none may disagree, and so many must agree.
void check_folder(CrosscheckKind kind, const std::filesystem::path& folder, int64_t least) {
  int64_t agree = 0;
  crosscheck(kind, folder, [&](const CaseOutcome& outcome) {
    INFO(outcome.name << ": " << join(outcome.misses, "; "));
    CHECK(outcome.misses.empty());
    agree += outcome.agrees();
  });
  CHECK(agree >= least);
}

TEST_CASE("mixers: cases of other software agree") {
  const auto folder = shared_dir() / "fixtures" / "mixers";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  check_folder(CrosscheckKind::mixers, folder, 2);
}

TEST_CASE("caches: tokens that policies hold, and logits, are those of other software") {
  const auto folder = shared_dir() / "fixtures" / "cache" / "evict";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  check_folder(CrosscheckKind::cache, folder, 43);
}

TEST_CASE("gptq: cases of other software agree") {
  const auto folder = shared_dir() / "fixtures" / "gptq";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  check_folder(CrosscheckKind::gptq, folder, 133);
}

TEST_CASE("caches: codes, scales and what is read back are those of other software") {
  const auto folder = shared_dir() / "fixtures" / "cache" / "quant";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  check_folder(CrosscheckKind::cache, folder, 24);
}

}  // namespace
}  // namespace attnlab::test
