// The shape of a decoder, whatever its family: what Hugging Face's config.json says, typed.
#pragma once

#include <cstdint>

#include "attention/attention.h"
#include "core/fields.h"

namespace attnlab {

// Families whose mathematics is that of LLaMA (RMS norm, rotary position, gated SiLU MLP) up to flags.
enum class Family { llama, mistral, qwen2 };
template <>
struct EnumNames<Family> {
  static constexpr std::array<std::pair<std::string_view, Family>, 3> rows{
      {{"llama", Family::llama}, {"mistral", Family::mistral}, {"qwen2", Family::qwen2}}};
};

struct DecoderConfig {
  Family family = Family::llama;
  int64_t vocab_size = 0;
  int64_t d_model = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t d_ff = 0;
  int64_t max_positions = 2048;
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  bool tie_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"family", "model family, as config.json's model_type"}, self.family);
    visit(Key{"vocab_size", "rows of the embedding"}.at_least(2).must_be_given(), self.vocab_size);
    visit(Key{"d_model", "width of the residual stream"}.at_least(1).must_be_given(), self.d_model);
    visit(Key{"n_layers", "number of layers"}.at_least(1).must_be_given(), self.n_layers);
    visit(Key{"n_heads", "query heads"}.at_least(1).must_be_given(), self.n_heads);
    visit(Key{"n_kv_heads", "key and value heads; divides n_heads"}.at_least(1).must_be_given(),
          self.n_kv_heads);
    visit(Key{"head_dim", "width of a head, even"}.at_least(2).must_be_given(), self.head_dim);
    visit(Key{"d_ff", "width of the MLP"}.at_least(1).must_be_given(), self.d_ff);
    visit(Key{"max_positions", "longest sequence"}.at_least(1), self.max_positions);
    visit(Key{"norm_eps", "epsilon of RMS norms"}.above(0), self.norm_eps);
    visit(Key{"rope_theta", "base of the rotary frequencies"}.above(0), self.rope_theta);
    visit(Key{"tie_embeddings", "the output matrix is the embedding"}, self.tie_embeddings);
    visit(Key{"qkv_bias", "biases on the query, key and value projections"}, self.qkv_bias);
    visit(Key{"o_bias", "bias on the output projection"}, self.o_bias);
  }

  AttentionShape attention_shape() const {
    return {.d_model = d_model,
            .n_heads = n_heads,
            .n_kv_heads = n_kv_heads,
            .head_dim = head_dim,
            .qkv_bias = qkv_bias,
            .o_bias = o_bias};
  }
};

}  // namespace attnlab
