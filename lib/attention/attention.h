// What every attention variant is: a module that maps hidden states to hidden states and says what it caches.
//
// Shapes: B batch, T new tokens, S all tokens seen so far (S = T without a cache), D d_model, N query heads,
// G KV heads, H head_dim, R latent rank.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "attention/cache.h"

namespace attnlab {

using TensorMap = std::map<std::string, torch::Tensor>;

struct AttentionShape {
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool o_bias = false;

  int64_t heads_per_kv() const { return n_heads / n_kv_heads; }
};

struct AttentionInput {
  torch::Tensor x_BTD;
  // Rotary tables for all S tokens; the last T rows belong to the new ones. The first dimension is B, or 1 if
  // all rows have the same positions.
  torch::Tensor cos_BSH, sin_BSH;
  // bool, true where a query may look. Undefined: plain causal, no padding (then T = S or T = 1).
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
  virtual double forward_flops_per_token(int64_t T) const;

  const AttentionShape& shape() const { return shape_; }

 protected:
  AttentionShape shape_;
};

// The GQA weights that variants are converted from, in Hugging Face's layout (rows are outputs). Undefined
// biases are absent ones.
struct GqaWeights {
  torch::Tensor q_weight, k_weight, v_weight, o_weight;  // [N·H, D], [G·H, D], [G·H, D], [D, N·H]
  torch::Tensor q_bias, k_bias, v_bias, o_bias;
};

// The parts that no variant changes, under their Hugging Face names: q_proj.* and o_proj.*.
TensorMap query_and_output(const GqaWeights& gqa);

// Sums the widths of a layout: numbers kept per token and layer.
int64_t cached_numbers(const std::vector<CacheSlot>& layout);

}  // namespace attnlab
