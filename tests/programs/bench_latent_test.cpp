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

TEST_CASE("bench_latent times a latent that is kept as codes") {
  for (const std::string storage : {"int8", "fp8"}) {
    const auto outcome = run_program(
        "bench_latent --device cpu --heads 3 --rank 256 --rope 16 --batch 2 "
        "--length 40 --times 2 --storage " +
        storage);
    INFO(outcome.out << outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out,
               ContainsSubstring(storage + ", 3 heads") && ContainsSubstring("| 2 | 40 | torch | "));
  }
}

TEST_CASE("bench_latent refuses what it can't time") {
  check_refused("bench_latent --length 0", "--length");
  check_refused("bench_latent --rank 0", "--rank");
  check_refused("bench_latent --storage int3", "--storage");
  check_refused("bench_latent --storage fp8 --dtype float32", "--dtype");
  check_refused("bench_latent --storage int8 --rank 192", "--rank");
}

}  // namespace
}  // namespace attnlab
