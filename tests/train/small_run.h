// A small decoder in training, for tests.
#pragma once

#include "attention/mla_orthogonal.h"
#include "small_decoder.h"
#include "train/trainable.h"
#include "train/trainer.h"

namespace attnlab::test {

// Rows of a sequence that repeats with a period, the first `masked` positions without a target.
inline Batch make_batch(int64_t rows, int64_t columns, int64_t masked, int64_t seed) {
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

inline Batch join(const std::vector<Batch>& parts) {
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

inline std::shared_ptr<Decoder> fresh(const ModelForm& form, const std::vector<std::string>& scopes) {
  auto decoder = make_decoder(form, lively_weights(form.config));
  set_trainable(*decoder, trainable_names(*decoder, scopes, "trainable"));
  return decoder;
}
inline std::shared_ptr<Decoder> fresh(const VariantConfig& variant = MlaOrthogonal::Config{},
                                      const std::vector<std::string>& scopes = {"attention"},
                                      const DecoderConfig& config = small_config()) {
  auto decoder = make_decoder(config, lively_weights(config), variant);
  set_trainable(*decoder, trainable_names(*decoder, scopes, "trainable"));
  return decoder;
}

// The largest difference of two models' parameters.
inline double distance(const Decoder& a, const Decoder& b) {
  double largest = 0;
  const auto left = copy_weights(a), right = copy_weights(b);
  for (const auto& [name, tensor] : left)
    largest = std::max(largest, (tensor - right.at(name)).abs().max().item<double>());
  return largest;
}

}  // namespace attnlab::test
