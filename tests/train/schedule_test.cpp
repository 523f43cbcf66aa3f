#include "catch.h"
#include "train/train_config.h"

namespace attnlab {
namespace {

TEST_CASE("the learning rate rises linearly, then falls to its final share in the last step") {
  TrainConfig config{.steps = 110, .lr = 0.2, .warmup_steps = 10, .final_lr_share = 0.1};
  CHECK(learning_rate(config, 1) == Approx(0.02));
  CHECK(learning_rate(config, 5) == Approx(0.1));
  CHECK(learning_rate(config, 10) == Approx(0.2));
  CHECK(learning_rate(config, 60) == Approx(0.11));  // half way: the middle of 0.2 and 0.02
  CHECK(learning_rate(config, 110) == Approx(0.02));
  config.schedule = Schedule::linear;
  CHECK(learning_rate(config, 35) == Approx(0.155));
  CHECK(learning_rate(config, 110) == Approx(0.02));
  config.schedule = Schedule::constant;
  CHECK(learning_rate(config, 5) == Approx(0.1));
  CHECK(learning_rate(config, 110) == Approx(0.2));
}

TEST_CASE("warm-up may be absent or last to the end") {
  CHECK(learning_rate({.steps = 4, .lr = 1, .warmup_steps = 0, .final_lr_share = 0}, 4) ==
        Approx(0).margin(1e-15));
  CHECK(learning_rate({.steps = 4, .lr = 1, .warmup_steps = 8}, 4) == Approx(0.5));
  CHECK(learning_rate({.steps = 4, .lr = 1, .warmup_steps = 4}, 4) == Approx(1));
}

}  // namespace
}  // namespace attnlab
