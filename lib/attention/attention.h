// Attention: the mixers that keep something of every token and look back at it with queries.
//
// Shapes: B batch, T new tokens, S tokens that are looked at, D d_model, N query heads, G KV heads, H head_dim,
// R latent rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attention/attention_pass.h"
#include "attention/gqa_weights.h"
#include "attention/linear.h"
#include "attention/mixer.h"
#include "tensor/torch.h"

namespace attnlab {

class Attention : public Mixer {
 public:
  explicit Attention(const AttentionShape& shape, bool absorb = false) : Mixer(shape), absorb_(absorb) {}

  double forward_flops_per_token(int64_t T) const override;
  std::vector<std::string> query_and_output_parts() const override { return {"q_proj", "q_norm", "o_proj"}; }
  bool set_absorb(bool absorb) override;

 protected:
  torch::Tensor mix(const MixerInput& input) override;
  // Reads as the variant's equation: [B, T, D].
  virtual torch::Tensor attend(AttentionPass& pass) = 0;
  // There is a path that reads a latent as it lies.
  virtual bool can_absorb() const { return false; }
  // Numbers of all heads' queries and values: what a (query, key) pair multiplies.
  virtual int64_t pair_width() const { return 2 * shape_.n_heads * shape_.head_dim; }
  bool absorbs(const AttentionPass& pass) const { return absorb_ && pass.decodes(); }

 private:
  bool absorb_;
};

// The RMS norms of query and key heads, where the shape has them.
class QkNorm {
 public:
  QkNorm() = default;
  // Registers q_norm and k_norm in `parent`.
  // `keys`: there are keys to norm.
  QkNorm(torch::nn::Module& parent, const AttentionShape& shape, bool keys = true);
  torch::Tensor query(const torch::Tensor& q_BNTH) { return q_norm_ ? q_norm_->forward(q_BNTH) : q_BNTH; }
  torch::Tensor key(const torch::Tensor& k_BGTH) { return k_norm_ ? k_norm_->forward(k_BGTH) : k_BGTH; }

 private:
  RmsNorm q_norm_{nullptr}, k_norm_{nullptr};
};

// Numbers of a head that turn.
int64_t turning_width(const AttentionShape& shape);

}  // namespace attnlab
