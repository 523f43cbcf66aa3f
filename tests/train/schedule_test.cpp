#include "train/schedule.h"

#include <cmath>
#include <numbers>

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

TEST_CASE("each schedule is its closed formula at every step") {
  constexpr int64_t S = 73, W = 9;
  constexpr double lr = 0.3, last = 0.05;
  TrainConfig config{.steps = S, .lr = lr, .warmup_steps = W, .final_lr_share = last, .decay_share = 0.25};
  constexpr int64_t D = 18;  // round(0.25 · 73)
  for (int64_t step = 1; step <= S; ++step) {
    INFO("step " << step);
    const auto at = static_cast<double>(step);
    const double rise = lr * at / W, progress = (at - W) / (S - W);
    const bool warm = step > W;
    config.schedule = Schedule::constant;
    CHECK(learning_rate(config, step) == Approx(warm ? lr : rise).epsilon(1e-12));
    config.schedule = Schedule::linear;
    CHECK(learning_rate(config, step) == Approx(warm ? lr - (lr - lr * last) * progress : rise).epsilon(1e-12));
    config.schedule = Schedule::cosine;
    const double cosine = lr * last + lr * (1 - last) * (0.5 + 0.5 * std::cos(std::numbers::pi * progress));
    CHECK(learning_rate(config, step) == Approx(warm ? cosine : rise).epsilon(1e-12));
    config.schedule = Schedule::warmup_stable_decay;
    const double fallen = step <= S - D ? lr : lr - lr * (1 - last) * (at - (S - D)) / D;
    CHECK(learning_rate(config, step) == Approx(warm ? fallen : rise).epsilon(1e-12));
  }
}

TEST_CASE("warmup_stable_decay at its edges") {
  TrainConfig config{.steps = 10, .lr = 1, .schedule = Schedule::warmup_stable_decay, .final_lr_share = 0};
  config.decay_share = 0;  // never falls
  CHECK(learning_rate(config, 10) == 1);
  config.decay_share = 1;  // falls from the first step on
  CHECK(learning_rate(config, 1) == Approx(0.9));
  CHECK(learning_rate(config, 10) == 0);
  config.decay_share = 0.04;  // rounds to no step
  CHECK(learning_rate(config, 10) == 1);
  config.warmup_steps = 8;  // warm-up goes before decay: two steps are left to fall in
  config.decay_share = 0.5;
  CHECK(learning_rate(config, 6) == Approx(0.75));
  CHECK(learning_rate(config, 8) == 1);
  CHECK(learning_rate(config, 9) == Approx(0.5));
  CHECK(learning_rate(config, 10) == 0);
}

TEST_CASE("warm-up may be absent or last to the end") {
  CHECK(learning_rate({.steps = 4, .lr = 1, .warmup_steps = 0, .final_lr_share = 0}, 4) ==
        Approx(0).margin(1e-15));
  CHECK(learning_rate({.steps = 4, .lr = 1, .warmup_steps = 8}, 4) == Approx(0.5));
  CHECK(learning_rate({.steps = 4, .lr = 1, .warmup_steps = 4}, 4) == Approx(1));
}

}  // namespace
}  // namespace attnlab
