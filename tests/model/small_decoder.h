// A small decoder for tests.
#pragma once

#include "model/decoder.h"
#include "model/decoder_weights.h"

namespace attnlab::test {

inline DecoderConfig small_config() {
  return {.vocab_size = 37,
          .d_model = 20,
          .n_layers = 2,
          .n_heads = 6,
          .n_kv_heads = 2,
          .head_dim = 6,
          .d_ff = 28,
          .max_positions = 64,
          .tie_embeddings = false};
}

// Weights of deviation 0.3, so that attention is far from uniform and errors are far above rounding.
inline TensorMap lively_weights(const DecoderConfig& config, uint64_t seed = 1) {
  TensorMap weights = random_base_weights(config, seed);
  for (auto& [name, tensor] : weights)
    if (tensor.dim() >= 2) tensor = tensor * (0.3 / tensor.std().item<double>());
  return weights;
}

inline std::shared_ptr<Decoder> make_decoder(const DecoderConfig& config, const TensorMap& base,
                                             const VariantConfig& variant) {
  auto decoder = std::make_shared<Decoder>(config, variant);
  load_weights(*decoder, convert_weights(base, config, variant));
  return decoder;
}

inline torch::Tensor random_ids(int64_t B, int64_t T, int64_t vocab_size, int64_t seed = 3) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  return torch::randint(vocab_size, {B, T}, torch::kInt64);
}

}  // namespace attnlab::test
