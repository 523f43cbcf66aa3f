// bench_train as a user calls it.
#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::run_program;

TEST_CASE("bench_train prints one row with time, speed and share of the peak") {
  const auto outcome = run_program(
      "bench_train --shape quickstart --arm mla_orthogonal --batch 1 --length 16 --steps 1 --warmup 1 "
      "--device cpu --peak-tflops 1");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("| shape | arm | trained |") &&
                              ContainsSubstring("| quickstart | mla_orthogonal | all | 1 | 16 |") &&
                              ContainsSubstring("loss of the last step: "));
}

TEST_CASE("bench_train refuses what it cannot measure in one line") {
  check_refused("bench_train --shape small", "quickstart");
  check_refused("bench_train --shape quickstart --arm mla_orthogonl", "did you mean 'mla_orthogonal'");
  check_refused("bench_train --shape quickstart --length 1", "--length");
  check_refused("bench_train --shape quickstart --trainable nothing.like.this", "--trainable");
}

}  // namespace
}  // namespace attnlab
