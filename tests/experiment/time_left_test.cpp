#include "experiment/run/time_left.h"

#include "catch.h"

namespace attnlab {
namespace {

TEST_CASE("the time left counts steps at their own speed, whatever came before the first") {
  TimeLeft left(0);
  CHECK(left.of_run(10) < 0);
  left.begin(100, 0);  // converting took 100 s
  left.pause(130);     // an evaluation before training, 30
  left.step(132, 1);
  CHECK(left.of_run(49) == 98);
  CHECK(left.of_all(49, 0) == 98);
  // Two runs of 50 steps more, each of which takes 130 s beside its steps.
  CHECK(left.of_all(149, 2) == 2 * 149 + 260);
  left.step(140, 5);
  left.pause(150);
  left.step(152, 6);
  CHECK(left.of_run(1) == 2);
  CHECK(left.of_all(1, 1) == 2 + 140);
}

TEST_CASE("a run that goes on does not count the steps before") {
  TimeLeft left(0);
  left.begin(1, 90);
  left.step(3, 91);
  CHECK(left.of_run(9) == 18);
  CHECK(left.steps() == 1);
}

}  // namespace
}  // namespace attnlab
