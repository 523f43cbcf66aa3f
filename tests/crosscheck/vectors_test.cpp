// The cases of other software that lie beside the checkout.
#include "catch.h"
#include "crosscheck/crosscheck.h"

namespace attnlab::test {
namespace {

// Of the cases in a folder none may disagree, and so many must agree.
void check_folder(CrosscheckKind kind, const char* name, int64_t least) {
  const auto folder = shared_dir() / "fixtures" / name;
  if (!std::filesystem::exists(folder)) SKIP_TEST("no vectors of other software here");
  int64_t agree = 0;
  crosscheck(kind, folder, [&](const CaseOutcome& outcome) {
    INFO(outcome.name << ": " << join(outcome.misses, "; "));
    CHECK(outcome.misses.empty());
    agree += outcome.agrees();
  });
  CHECK(agree >= least);
}

TEST_CASE("mixers: cases of other software agree") { check_folder(CrosscheckKind::mixers, "mixers", 37); }

TEST_CASE("caches: tokens that policies hold, and logits, are those of other software") {
  check_folder(CrosscheckKind::cache, "cache/evict", 47);
}

TEST_CASE("caches: codes, scales and what is read back are those of other software") {
  check_folder(CrosscheckKind::cache, "cache/quant", 31);
}

TEST_CASE("caches: what layers share is what other software shares") {
  check_folder(CrosscheckKind::cache, "cache/cross", 14);
}

TEST_CASE("distill: cases of other software agree") { check_folder(CrosscheckKind::distill, "distill", 72); }

TEST_CASE("gptq: cases of other software agree") { check_folder(CrosscheckKind::gptq, "gptq", 133); }

TEST_CASE("pruning: cases of other software agree") { check_folder(CrosscheckKind::pruning, "pruning", 9); }

}  // namespace
}  // namespace attnlab::test
