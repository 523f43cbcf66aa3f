// Small models that ranks train, for tests.
#pragma once

#include "../ranks/with_ranks.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "small_run.h"

namespace attnlab::test {

// AdamW's ε of 1 keeps updates proportional to gradients, so that rounding stays rounding.
inline TrainConfig wide_config() {
  return {.steps = 3, .batch_size = 5, .lr = 0.1, .schedule = Schedule::constant, .epsilon = 1, .clip_norm = 0};
}

inline std::shared_ptr<Decoder> wide(const std::vector<std::string>& scopes = {"all"}, bool tied = true) {
  auto shape = small_config();
  shape.tie_embeddings = tied;
  auto decoder = fresh(MlaOrthogonal::Config{}, scopes, shape);
  decoder->to(torch::kFloat64);
  return decoder;
}

// The same with a parameter that nothing uses.
inline std::shared_ptr<Decoder> wide_with_unused() {
  auto decoder = wide();
  decoder->register_parameter("unused", torch::ones({3, 3}, torch::kFloat64));
  return decoder;
}

// Of two ranks, the second has rows without targets.
inline Batch batch_of_first_rank() {
  auto batch = make_batch(4, 12, 2, 1);
  for (size_t i = 24; i < 48; ++i) batch.targets[i] = ignored_target;
  batch.loss_tokens =
      std::count_if(batch.targets.begin(), batch.targets.end(), [](int64_t id) { return id >= 0; });
  return batch;
}

// The model that so many ranks train, as rank 0 has it.
inline std::shared_ptr<Decoder> trained(int64_t ranks, const TrainConfig& config,
                                        const std::vector<Batch>& batches,
                                        const std::function<std::shared_ptr<Decoder>()>& begin,
                                        int64_t steps = 3) {
  std::vector<std::shared_ptr<Decoder>> models(static_cast<size_t>(ranks));
  with_ranks(ranks, [&](World& world) {
    auto& own = models[static_cast<size_t>(world.rank())];
    own = begin();
    Trainer trainer(*own, config, nullptr, world);
    for (int64_t step = 1; step <= steps; ++step) trainer.step(step, batches);
    trainer.make_whole();
  });
  for (const auto& model : models) CHECK(distance(*model, *models[0]) == 0);
  return models[0];
}

}  // namespace attnlab::test
