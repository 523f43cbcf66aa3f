// What attention is built from: sizes and forms, without torch.
#pragma once

#include <cstdint>
#include <optional>

#include "core/fields.h"

namespace attnlab {

// How a score follows from q·k: scale · q·k, and with a cap c > 0, c · tanh(scale · q·k / c) (Gemma 2, arXiv
// 2408.00118).
struct ScoreForm {
  double scale = 0;  // 0: 1/√H
  double softcap = 0;
};

// The sizes of MLA in DeepSeek's form (DeepSeek-V2, arXiv 2405.04434).
struct MlaShape {
  int64_t q_lora_rank = 0;  // 0: queries are not compressed
  int64_t kv_lora_rank = 0;
  int64_t qk_nope_head_dim = 0;
  int64_t qk_rope_head_dim = 0;
  int64_t v_head_dim = 0;
  bool interleaved = true;  // rotary turns neighbours, not halves

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"q_lora_rank", "latent numbers of the queries; 0: not compressed"}.at_least(0), self.q_lora_rank);
    visit(Key{"kv_lora_rank", "latent numbers of keys and values"}.at_least(1).must_be_given(),
          self.kv_lora_rank);
    visit(Key{"qk_nope_head_dim", "width of a head's part without rotary"}.at_least(1).must_be_given(),
          self.qk_nope_head_dim);
    visit(Key{"qk_rope_head_dim", "width of the part with rotary, even"}.at_least(2).must_be_given(),
          self.qk_rope_head_dim);
    visit(Key{"v_head_dim", "width of a head's values"}.at_least(1).must_be_given(), self.v_head_dim);
    visit(Key{"interleaved", "rotary turns neighbours, not halves"}, self.interleaved);
  }
};

struct AttentionShape {
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool o_bias = false;
  ScoreForm score;                   // scale and cap of the scores
  int64_t window = 0;                // a query sees itself and the window - 1 tokens before; 0: all
  bool qk_norm = false;              // RMS norm of each query and key head before rotary (Qwen 3, Gemma 3)
  double norm_eps = 1e-6;            // of qk_norm
  bool norm_plus_one = false;        // qk_norm multiplies by 1 + weight (Gemma 3)
  std::optional<MlaShape> mla;       // the base's attention is MLA: then n_kv_heads and head_dim mean nothing
  int64_t rotary_dim = 0;            // numbers of a head that turn; 0: all of head_dim
  bool scaled_by_frequency = false;  // rotary has a factor for each frequency (longrope)
  bool scaled_by_width = false;      // its scaling depends on how many numbers turn (yarn, dynamic)
  double rotary_factor = 1;          // on cos and sin: scores of what turns have its square
  int64_t layer = 0;                 // place in the stack
  int64_t n_layers = 0;              // of the stack; 0: not said

  int64_t heads_per_kv() const { return n_heads / n_kv_heads; }
};

}  // namespace attnlab
