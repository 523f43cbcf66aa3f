// The shape of a decoder, whatever its family: what Hugging Face's config.json says, typed.
#pragma once

#include <algorithm>
#include <cstdint>

#include "attention/rope_scaling.h"
#include "attention/shape.h"
#include "core/fields.h"
#include "model/moe_shape.h"

namespace attnlab {

// A family is one file in families/ and one row in families.cpp.
enum class Family {
  llama,
  mistral,
  mixtral,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  phi3,
  deepseek_v2,
  deepseek_v3,
  mamba,
  mamba2,
  rwkv
};
template <>
struct EnumNames<Family> {
  using enum Family;
  static constexpr std::array<std::pair<std::string_view, Family>, 13> rows{{{"llama", llama},
                                                                             {"mistral", mistral},
                                                                             {"mixtral", mixtral},
                                                                             {"qwen2", qwen2},
                                                                             {"qwen3", qwen3},
                                                                             {"gemma2", gemma2},
                                                                             {"gemma3_text", gemma3},
                                                                             {"phi3", phi3},
                                                                             {"deepseek_v2", deepseek_v2},
                                                                             {"deepseek_v3", deepseek_v3},
                                                                             {"mamba", mamba},
                                                                             {"mamba2", mamba2},
                                                                             {"rwkv", rwkv}}};
};

// Mathematics that belongs to a family and that no key of its config.json changes.
struct FamilyTraits {
  bool gelu = false;              // the MLP's activation is GELU in its tanh form, not SiLU
  bool sandwich_norms = false;    // norms behind attention and MLP, too
  bool norm_plus_one = false;     // norms multiply by 1 + weight
  bool scaled_embedding = false;  // embeddings times √d_model
  bool qk_norm = false;           // norms of query and key heads
  bool layer_norms = false;       // norms subtract the mean and have biases; one more behind the embedding
  bool has_mlp = true;            // a layer is a mixer and an MLP
  bool channel_mixing = false;    // RWKV's, in the MLP's place
  bool float32_router = false;    // experts' logits are float32 in every format, and so is the router held
};
const FamilyTraits& traits_of(Family family);

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
  double window_rope_theta = 0;             // of layers with a window, which then nothing scales; 0: rope_theta
  int64_t rotary_dim = 0;                   // 0: all of head_dim
  std::optional<RopeScaling> rope_scaling;  // absent: frequencies as they are
  int64_t window = 0;                       // 0: none
  std::vector<int64_t> window_layers;       // empty: all, where there is a window
  double query_scalar = 0;                  // scores are divided by its root; 0: head_dim
  double attention_softcap = 0;             // 0: none
  double final_softcap = 0;                 // 0: none
  std::optional<MoeShape> moe;              // absent: dense MLPs
  std::optional<MlaShape> mla;              // present: attention is MLA in DeepSeek's form
  std::optional<RecurrentShape> recurrent;  // present: layers have no attention
  bool tie_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;

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
    visit(Key{"max_positions",
              "longest sequence, which yarn and dynamic extend; train.sequence_length may not be longer"}
              .at_least(1),
          self.max_positions);
    visit(Key{"norm_eps", "epsilon of RMS norms"}.above(0), self.norm_eps);
    visit(Key{"rope_theta", "base of the rotary frequencies"}.above(0), self.rope_theta);
    visit(Key{"window_rope_theta",
              "base of the rotary frequencies of layers with a window, which no scaling changes (gemma3_text); "
              "0: as in the others"}
              .at_least(0),
          self.window_rope_theta);
    visit(Key{"rotary_dim", "part of a head that turns, even; 0: all of it"}.at_least(0), self.rotary_dim);
    visit(Key{"rope_scaling", "scaling of the rotary frequencies"}, self.rope_scaling);
    visit(Key{"window", "tokens that a query sees, itself included; 0: all"}.at_least(0), self.window);
    visit(Key{"window_layers", "layers with the window; empty: all"}, self.window_layers);
    visit(Key{"query_scalar", "scores are divided by its root; 0: head_dim"}.at_least(0), self.query_scalar);
    visit(Key{"attention_softcap", "cap of the scores; 0: none"}.at_least(0), self.attention_softcap);
    visit(Key{"final_softcap", "cap of the logits; 0: none"}.at_least(0), self.final_softcap);
    visit(Key{"moe", "mixtures of experts in place of MLPs"}, self.moe);
    visit(Key{"mla", "attention is MLA in DeepSeek's form"}, self.mla);
    visit(Key{"recurrent", "layers have a recurrence and no attention"}, self.recurrent);
    visit(Key{"tie_embeddings", "the output matrix is the embedding"}, self.tie_embeddings);
    visit(Key{"qkv_bias",
              "biases on the query, key and value projections. qwen2 has these alone; llama, qwen3, gemma and "
              "DeepSeek's have both or none, the others none"},
          self.qkv_bias);
    visit(Key{"o_bias", "bias on the output projection"}, self.o_bias);
    visit(Key{"mlp_bias", "biases on the MLP's three projections: llama alone has them"}, self.mlp_bias);
  }

  bool has_window(int64_t layer) const {
    const bool named = std::find(window_layers.begin(), window_layers.end(), layer) != window_layers.end();
    return window > 0 && (window_layers.empty() || named);
  }
  // Whether a layer turns by window_rope_theta.
  bool turns_apart(int64_t layer) const { return window_rope_theta > 0 && has_window(layer); }
  double rope_theta_of(int64_t layer) const { return turns_apart(layer) ? window_rope_theta : rope_theta; }
  std::optional<RopeScaling> rope_scaling_of(int64_t layer) const {
    return turns_apart(layer) ? std::nullopt : rope_scaling;
  }
  bool has_experts(int64_t layer) const { return moe && moe->in_layer(layer); }
  int64_t layers_with_experts() const;
  // Numbers of a head (of its shared rotary part, with MLA) that turn.
  int64_t turning_dim() const { return mla ? mla->qk_rope_head_dim : rotary_dim > 0 ? rotary_dim : head_dim; }
  // Tokens of the longest sequence that it is meant for: max_positions, or factor × original_positions where
  // yarn or dynamic reach further.
  int64_t longest_sequence() const;
  // What the attention of a layer is built from; layers differ in their windows and places.
  AttentionShape attention_shape(int64_t layer) const;
  // Layer 0's, with the scaling of rotary frequencies that some layer has: for what is asked of the whole
  // stack.
  AttentionShape attention_shape() const;
};

}  // namespace attnlab
