#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::run_program;

TEST_CASE("bench_attention times each kernel that takes the case") {
  const auto outcome = run_program(
      "bench_attention --device cpu --dtype float32 --shape small --batch 1 --batch 3 --length 50 --times 2");
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("| small | 1 | 50 | ") && ContainsSubstring("| small | 3 | 50 | "));
  CHECK_THAT(outcome.out, ContainsSubstring("| attend | own | efficient |"));
}

TEST_CASE("bench_attention refuses what it can't time") {
  check_refused("bench_attention --shape qwen", "qwen2.5-0.5b");
  check_refused("bench_attention --length 0", "--length");
}

}  // namespace
}  // namespace attnlab
