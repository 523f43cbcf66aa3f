#include "train/trainer.h"

#include <fstream>

#include "catch.h"
#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "small_decoder.h"
#include "train/trainable.h"

namespace attnlab {
namespace {

// Rows of a sequence that repeats with a period, the first `masked` positions without a target.
Batch make_batch(int64_t rows, int64_t columns, int64_t masked, int64_t seed) {
  Batch batch{.rows = rows, .columns = columns};
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t t = 0; t < columns; ++t) {
      const auto token = [&](int64_t at) { return (seed + 5 * r + 3 * (at % 4)) % 37; };
      batch.input_ids.push_back(token(t));
      batch.targets.push_back(t < masked + r % 2 ? ignored_target : token(t + 1));
      batch.loss_tokens += batch.targets.back() >= 0;
      ++batch.tokens;
    }
  return batch;
}

Batch join(const std::vector<Batch>& parts) {
  Batch all{.columns = parts[0].columns};
  for (const auto& part : parts) {
    all.rows += part.rows;
    all.tokens += part.tokens;
    all.loss_tokens += part.loss_tokens;
    all.input_ids.insert(all.input_ids.end(), part.input_ids.begin(), part.input_ids.end());
    all.targets.insert(all.targets.end(), part.targets.begin(), part.targets.end());
  }
  return all;
}

std::shared_ptr<Decoder> fresh(const VariantConfig& variant = MlaOrthogonal::Config{}) {
  const auto config = test::small_config();
  auto decoder = test::make_decoder(config, test::lively_weights(config), variant);
  set_trainable(*decoder, trainable_names(*decoder, {"attention"}, "trainable"));
  return decoder;
}

const TrainConfig config{.steps = 30, .lr = 3e-3, .warmup_steps = 3};

double distance(const Decoder& a, const Decoder& b) {
  double largest = 0;
  const auto left = copy_weights(a), right = copy_weights(b);
  for (const auto& [name, tensor] : left)
    largest = std::max(largest, (tensor - right.at(name)).abs().max().item<double>());
  return largest;
}

TEST_CASE("one batch of eight rows and eight of one give the same step, whatever they mask") {
  const auto whole = fresh(), parted = fresh();
  std::vector<Batch> parts;
  for (int64_t i = 0; i < 8; ++i) parts.push_back(make_batch(1, 13, i, i));
  Trainer a(*whole, config), b(*parted, config);
  for (int64_t step = 1; step <= 3; ++step) {
    const auto x = a.step(step, {join(parts)}), y = b.step(step, parts);
    CHECK(x.tokens == y.tokens);
    // Both are sums of some 60 terms of size 4, in another order.
    CHECK(x.loss.item<double>() == Approx(y.loss.item<double>()).epsilon(60 * 6e-8));
    CHECK(x.gradient_norm.item<double>() == Approx(y.gradient_norm.item<double>()).epsilon(1e-4));
  }
  // AdamW divides by the gradient's own size: rounding can decide the sign of a vanishing one, at most 2 lr a
  // step.
  CHECK(distance(*whole, *parted) < 2 * 3 * config.lr);
}

TEST_CASE("training lowers the loss and moves only what is trainable") {
  const auto decoder = fresh(), before = fresh();
  Trainer trainer(*decoder, config);
  const auto batch = make_batch(4, 16, 2, 1);
  const double first = trainer.step(1, {batch}).loss.item<double>();
  double last = 0;
  for (int64_t step = 2; step <= 30; ++step) last = trainer.step(step, {batch}).loss.item<double>();
  CHECK(last < 0.7 * first);
  const auto start = copy_weights(*before), end = copy_weights(*decoder);
  for (const auto& [name, tensor] : start) {
    INFO(name);
    CHECK(torch::equal(tensor, end.at(name)) == (name.find("self_attn") == std::string::npos));
  }
}

TEST_CASE("a saved and loaded run goes on bit for bit") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "seed0.state.safetensors";
  const auto undisturbed = fresh(), first = fresh(), second = fresh();
  Trainer a(*undisturbed, config), b(*first, config), c(*second, config);
  for (int64_t step = 1; step <= 9; ++step) {
    a.step(step, {make_batch(3, 11, 1, step)});
    if (step <= 4) b.step(step, {make_batch(3, 11, 1, step)});
  }
  b.save(file, {.step = 4, .tokens = 132, .seconds = 0.1});
  const TrainProgress progress = c.load(file);
  CHECK(progress.step == 4);
  CHECK(progress.tokens == 132);
  CHECK(progress.seconds == 0.1);
  for (int64_t step = 5; step <= 9; ++step) c.step(step, {make_batch(3, 11, 1, step)});
  CHECK(distance(*undisturbed, *second) == 0);
}

TEST_CASE("the state of another model, or none, is refused") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "state.safetensors";
  const auto orthogonal = fresh(), gqa = fresh(Gqa::Config{});
  Trainer(*gqa, config).save(file, {});
  CHECK_THROWS_AS(Trainer(*orthogonal, config).load(file), InputError);
  std::ofstream(file) << "not a state";
  CHECK_THROWS_AS(Trainer(*gqa, config).load(file), InputError);
  write_safetensors(file, {});
  CHECK_THROWS_AS(Trainer(*gqa, config).load(file), InputError);
}

}  // namespace
}  // namespace attnlab
