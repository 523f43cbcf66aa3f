// What every attention variant is: a module that maps hidden states to hidden states and says what it caches.
//
// Shapes: B batch, T new tokens, S all tokens seen so far (S = T without a cache), D d_model, N query heads,
// G KV heads, H head_dim, R latent rank.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attention/attend.h"
#include "attention/cache.h"
#include "attention/linear.h"
#include "attention/shape.h"
#include "core/errors.h"

namespace attnlab {

using TensorMap = std::map<std::string, torch::Tensor>;

struct AttentionInput {
  torch::Tensor x_BTD;
  // Rotary tables for all S tokens; the last T rows belong to the new ones. The first dimension is B, or 1 if
  // all rows have the same positions. As wide as the part of a head that turns.
  torch::Tensor cos_BSH, sin_BSH;
  // bool, true where a query may look, windows included. Undefined: plain causal, no padding (then T = S or
  // T = 1). A layer whose cache keeps fewer than S tokens looks at the last columns.
  torch::Tensor mask_B1TS;
  LayerCache* cache = nullptr;  // new keys and values are appended to it
};

class Attention : public torch::nn::Module {
 public:
  explicit Attention(const AttentionShape& shape) : shape_(shape) {}

  // [B, T, D] → [B, T, D].
  virtual torch::Tensor forward(const AttentionInput& input) = 0;
  // What the cache keeps per token, in the order in which forward appends it.
  virtual std::vector<CacheSlot> cache_layout() const = 0;
  // Multiply-adds × 2 of one token's forward pass in training, averaged over a causal sequence of T tokens.
  double forward_flops_per_token(int64_t T) const;

  const AttentionShape& shape() const { return shape_; }
  // Parameters that say how the layer is built and are never trained, by their names in it.
  virtual std::vector<std::string> fixed_parameters() const { return {}; }

 protected:
  // Numbers of all heads' queries and values: what a (query, key) pair multiplies.
  virtual int64_t pair_width() const { return 2 * shape_.n_heads * shape_.head_dim; }

  AttentionShape shape_;
};

// The RMS norms of query and key heads, where the shape has them.
class QkNorm {
 public:
  QkNorm() = default;
  // Registers q_norm and k_norm in `parent`.
  QkNorm(torch::nn::Module& parent, const AttentionShape& shape);
  torch::Tensor query(const torch::Tensor& q_BNTH) { return q_norm_ ? q_norm_->forward(q_BNTH) : q_BNTH; }
  torch::Tensor key(const torch::Tensor& k_BGTH) { return k_norm_ ? k_norm_->forward(k_BGTH) : k_BGTH; }

 private:
  RmsNorm q_norm_{nullptr}, k_norm_{nullptr};
};

// What variants that are made from GQA say to a base whose attention is MLA already.
std::optional<BadInput> mla_base_problem(const AttentionShape& shape);
// What those say that remove rotary position from a part of the keys: beside such a base, one with norms of
// query and key heads, partial rotary or longrope.
std::optional<BadInput> rope_removal_problem(const AttentionShape& shape);

// The GQA weights that variants are converted from, in Hugging Face's layout (rows are outputs). Undefined
// biases are absent ones.
struct GqaWeights {
  torch::Tensor q_weight, k_weight, v_weight, o_weight;  // [N·H, D], [G·H, D], [G·H, D], [D, N·H]
  torch::Tensor q_bias, k_bias, v_bias, o_bias;
  torch::Tensor q_norm, k_norm;  // [H], undefined without qk_norm
};

// The parts that no variant changes, under their Hugging Face names: q_proj.*, o_proj.*, q_norm and k_norm.
TensorMap query_and_output(const GqaWeights& gqa);

// Sums the widths of a layout: numbers kept per token and layer.
int64_t cached_numbers(const std::vector<CacheSlot>& layout);

}  // namespace attnlab
