// bench_train as a user calls it.
#include <sys/resource.h>

#include "printed_profile.h"
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

TEST_CASE("bench_train profiles a step of its own behind the measured ones") {
  const std::string command =
      "bench_train --shape quickstart --batch 1 --length 16 --steps 2 --warmup 1 --losses --device cpu "
      "--threads 1 --peak-tflops 1";
  const auto plain = run_program(command), profiled = run_program(command + " --profile 3");
  INFO(profiled.out << profiled.err);
  REQUIRE(profiled.code == 0);
  test::check_profile(test::profile_of(profiled.out), 3, 1);
  CHECK(plain.out.find("share |") == std::string::npos);
  // The losses are those of the measured steps.
  const auto losses = [](const std::string& text) {
    const size_t begin = text.find("loss of the last step"), end = text.rfind("loss of step");
    return text.substr(begin, text.find('\n', end) - begin);
  };
  CHECK_THAT(losses(plain.out), ContainsSubstring("loss of step 3"));
  CHECK(losses(profiled.out) == losses(plain.out));
}

// Pages that the kernel gave to a run of so many steps.
int64_t pages_of(int64_t steps) {
  const auto pages = [] {
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    return static_cast<int64_t>(usage.ru_minflt);
  };
  const int64_t before = pages();
  const auto outcome = run_program(
      "bench_train --shape quickstart --batch 4 --length 256 --warmup 4 --device cpu --threads 1 --peak-tflops "
      "1 "
      "--steps " +
      std::to_string(steps));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return pages() - before;
}

TEST_CASE("a step takes the memory that the step before it gave up") {
  // A step's tensors are some 40 MB, 10,000 pages.
  constexpr int64_t steps = 8, few = 1000;
  CHECK(pages_of(1 + steps) - pages_of(1) < steps * few);
}

TEST_CASE("bench_train refuses what it cannot measure in one line") {
  check_refused("bench_train --shape small", "quickstart");
  check_refused("bench_train --shape quickstart --arm mla_orthogonl", "did you mean 'mla_orthogonal'");
  check_refused("bench_train --shape quickstart --length 1", "--length");
  check_refused("bench_train --shape quickstart --profile -1", "--profile: found -1");
  check_refused("bench_train --shape quickstart --trainable nothing.like.this", "--trainable");
}

}  // namespace
}  // namespace attnlab
