#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::run_program;

TEST_CASE("bench_latent times each batch and length") {
  const auto outcome = run_program(
      "bench_latent --device cpu --dtype float32 --heads 3 --rank 16 --rope 8 --batch 1 --batch 3 --length 50 "
      "--times 2 --uneven");
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("| 1 | 50 | torch | ") && ContainsSubstring("| 3 | 50 | torch | "));
}

TEST_CASE("bench_latent refuses what it can't time") {
  check_refused("bench_latent --length 0", "--length");
  check_refused("bench_latent --rank 0", "--rank");
}

}  // namespace
}  // namespace attnlab
