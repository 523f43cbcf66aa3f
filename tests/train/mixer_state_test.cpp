// A mixer that is no attention trains, and its run goes on where it stopped.
#include "../model/running_mean.h"
#include "catch.h"
#include "small_run.h"

namespace attnlab {
namespace {

using test::make_batch, test::mean_decoder;

std::shared_ptr<Decoder> trainable_means() {
  auto decoder = mean_decoder(test::small_config());
  set_trainable(*decoder, trainable_names(*decoder, {"attention_kv"}, "trainable"));
  return decoder;
}

TEST_CASE("attention_kv trains what a mixer makes its state of, and not its output") {
  const auto decoder = mean_decoder(test::small_config());
  CHECK(trainable_names(*decoder, {"attention_kv"}, "trainable") ==
        std::vector<std::string>{"model.layers.0.self_attn.v_proj.weight",
                                 "model.layers.1.self_attn.k_proj.weight",
                                 "model.layers.1.self_attn.v_proj.weight"});
}

TEST_CASE("a run of a mixer with a fixed state lowers its loss, and resumed it is the same to the bit") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "state";
  const TrainConfig config{.steps = 8, .lr = 1e-2};
  const auto whole = trainable_means(), cut = trainable_means();
  Trainer undisturbed(*whole, config), begun(*cut, config);
  std::vector<double> losses;
  for (int64_t step = 1; step <= 8; ++step)
    losses.push_back(undisturbed.step(step, {make_batch(2, 11, 1, step)}).loss.item<double>());
  CHECK(losses.back() < losses.front());
  for (int64_t step = 1; step <= 4; ++step) begun.step(step, {make_batch(2, 11, 1, step)});
  begun.save(file, {.step = 4});
  const auto fresh = trainable_means();
  Trainer resumed(*fresh, config);
  CHECK(resumed.load(open_state(file)).step == 4);
  for (int64_t step = 5; step <= 8; ++step)
    CHECK(resumed.step(step, {make_batch(2, 11, 1, step)}).loss.item<double>() ==
          losses[static_cast<size_t>(step - 1)]);
  CHECK(test::distance(*whole, *fresh) == 0);
}

}  // namespace
}  // namespace attnlab
