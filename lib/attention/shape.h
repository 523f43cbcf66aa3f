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

// The recurrence of a base that has no attention.
enum class RecurrentKind { mamba, mamba2, rwkv };
template <>
struct EnumNames<RecurrentKind> {
  static constexpr std::array<std::pair<std::string_view, RecurrentKind>, 3> rows{
      {{"mamba", RecurrentKind::mamba}, {"mamba2", RecurrentKind::mamba2}, {"rwkv", RecurrentKind::rwkv}}};
};

// Its sizes: Mamba (arXiv 2312.00752), Mamba-2 (arXiv 2405.21060), RWKV-4 (arXiv 2305.13048).
struct RecurrentShape {
  RecurrentKind kind = RecurrentKind::mamba;
  int64_t inner = 0;                     // channels between the projections
  int64_t state = 0;                     // numbers of a channel's state (Mamba's)
  int64_t conv_kernel = 0;               // tokens that the convolution sees (Mamba's)
  int64_t step_rank = 0;                 // between the two matrices of the step (Mamba)
  int64_t heads = 1, groups = 1;         // of Mamba-2
  double step_least = 0, step_most = 0;  // what the step is clamped to (Mamba-2); 0: not
  bool bias = false, conv_bias = false;  // of the projections, of the convolution
  bool float32_residual = false;         // the residual stream is float32 in every format
  int64_t rescale_every = 0;             // RWKV: layers after which other software halves the stream; not used

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"kind", "mamba, mamba2 or rwkv"}, self.kind);
    visit(Key{"inner", "channels between the projections"}.at_least(1).must_be_given(), self.inner);
    visit(Key{"state", "numbers of a channel's state"}.at_least(0), self.state);
    visit(Key{"conv_kernel", "tokens that the convolution sees"}.at_least(0), self.conv_kernel);
    visit(Key{"step_rank", "width between the two matrices of the step"}.at_least(0), self.step_rank);
    visit(Key{"heads", "of Mamba-2"}.at_least(1), self.heads);
    visit(Key{"groups", "heads of one share B and C"}.at_least(1), self.groups);
    visit(Key{"step_least", "what the step is at least"}.at_least(0), self.step_least);
    visit(Key{"step_most", "what it is at most; 0: any"}.at_least(0), self.step_most);
    visit(Key{"bias", "of the projections"}, self.bias);
    visit(Key{"conv_bias", "of the convolution"}, self.conv_bias);
    visit(Key{"float32_residual", "the residual stream is float32 in every format"}, self.float32_residual);
    visit(Key{"rescale_every", "layers after which other software halves the stream; not used"}.at_least(0),
          self.rescale_every);
  }
};

struct AttentionShape {
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool o_bias = false;
  ScoreForm score;              // scale and cap of the scores
  int64_t window = 0;           // a query sees itself and the window - 1 tokens before; 0: all
  bool qk_norm = false;         // RMS norm of each query and key head before rotary (Qwen 3, Gemma 3)
  double norm_eps = 1e-6;       // of qk_norm
  bool norm_plus_one = false;   // qk_norm multiplies by 1 + weight (Gemma 3)
  std::optional<MlaShape> mla;  // the base's attention is MLA: then n_kv_heads and head_dim mean nothing
  std::optional<RecurrentShape> recurrent;  // the base has no attention: then heads mean nothing
  int64_t rotary_dim = 0;                   // numbers of a head that turn; 0: all of head_dim
  bool scaled_by_frequency = false;         // rotary has a factor for each frequency (longrope)
  bool scaled_by_width = false;             // its scaling depends on how many numbers turn (yarn, dynamic)
  double rotary_factor = 1;                 // on cos and sin: scores of what turns have its square
  int64_t layer = 0;                        // place in the stack
  int64_t n_layers = 0;                     // of the stack; 0: not said

  int64_t heads_per_kv() const { return n_heads / n_kv_heads; }
};

}  // namespace attnlab
