// Models that the benchmarks measure: shapes, and random weights.
#pragma once

#include "model/decoder.h"

namespace attnlab {

struct ShapeNumbers {
  Family family;
  int64_t vocab_size, d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff;
  bool tied = false;
};
// As released.
constexpr ShapeNumbers kLlama2_7b{Family::llama, 32000, 4096, 32, 32, 32, 128, 11008};
constexpr ShapeNumbers kSmolLm2_135m{Family::llama, 49152, 576, 30, 9, 3, 64, 1536, true};
constexpr ShapeNumbers kQwen2_5_0_5b{Family::qwen2, 151936, 896, 24, 14, 2, 64, 4864, true};
constexpr ShapeNumbers kQwen2_5_1_5b{Family::qwen2, 151936, 1536, 28, 12, 2, 128, 8960, true};
constexpr ShapeNumbers kGemma2_2b{Family::gemma2, 256000, 2304, 26, 8, 4, 256, 9216, true};
constexpr ShapeNumbers kQwen2_5_7b{Family::qwen2, 152064, 3584, 28, 28, 4, 128, 18944};

DecoderConfig shape_config(const ShapeNumbers& numbers);

// Packs each matrix that has a place in the layout. Throws InputError (key: group_size) where groups don't
// divide its inputs.
void pack_form(ModelForm& form, MatrixPacking packing);
// A matrix of random numbers that its scales make as large as those of fill_randomly.
PackedMatrix random_packed(const MatrixPacking& packing, int64_t in, int64_t out, torch::Device device);

// Random weights that need no gradient; memory is taken on the device alone. Weights of norms lie around 1 with
// this deviation.
void fill_randomly(Decoder& decoder, torch::ScalarType dtype, torch::Device device, int64_t seed,
                   double norm_deviation);

}  // namespace attnlab
