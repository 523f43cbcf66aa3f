// The decoder: embedding, layers of attention and gated MLP with RMS norms before each, final norm, output
// matrix. Parameters carry the names of Hugging Face's Llama ("model.layers.0.self_attn.q_proj.weight", …).
//
// Shapes: B batch, T new tokens, S all tokens so far, D d_model, V vocabulary.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "attention/attend.h"
#include "attention/cache.h"
#include "attention/variants.h"
#include "model/decoder_config.h"

namespace attnlab {

// What a forward pass reads beside the tokens, for sequences that are padded or go on from a cache.
// Default: whole sequences from position 0, causal.
struct DecoderContext {
  RotaryTables rotary;                        // of all S tokens; undefined: positions 0 … T-1
  torch::Tensor mask_B1TS;                    // bool, true where a query may look; undefined: causal
  std::vector<LayerCache>* caches = nullptr;  // one per layer
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const DecoderConfig& config, const VariantConfig& variant);
  torch::Tensor forward(torch::Tensor x_BTD, AttentionInput input);
  const std::shared_ptr<Attention>& attention() const { return attention_; }

 private:
  double norm_eps_;
  torch::Tensor input_norm_, post_norm_;
  std::shared_ptr<Attention> attention_;
  torch::nn::Linear gate_proj_{nullptr}, up_proj_{nullptr}, down_proj_{nullptr};
};

class Decoder : public torch::nn::Module {
 public:
  // Weights mean nothing until load_weights fills them.
  Decoder(const DecoderConfig& config, const VariantConfig& variant);

  // Token ids [B, T] → hidden states after the final norm [B, T, D].
  torch::Tensor hidden(const torch::Tensor& ids_BT, const DecoderContext& context = {});
  // Hidden states [..., D] → logits [..., V].
  torch::Tensor logits(const torch::Tensor& hidden) const;

  RotaryTables rotary_at(const torch::Tensor& positions_BT) const;
  // Empty caches for B sequences of up to `capacity` tokens, in the dtype that forward passes compute in.
  std::vector<LayerCache> make_caches(int64_t B, int64_t capacity) const;
  // Numbers that all layers together keep per token while generating.
  int64_t cached_numbers_per_token() const;
  // Floating-point operations of one token's forward pass, averaged over a causal sequence of T tokens; the
  // embedding look-up is free, the output matrix counts.
  double forward_flops_per_token(int64_t T) const;

  const DecoderConfig& config() const { return config_; }
  const VariantConfig& variant() const { return variant_; }
  const std::vector<std::shared_ptr<DecoderLayer>>& layers() const { return layers_; }
  torch::Device device() const { return embedding_.device(); }

 private:
  RotaryTables rotary_from_zero(int64_t T);

  DecoderConfig config_;
  VariantConfig variant_;
  torch::Tensor embedding_, final_norm_, lm_head_;
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  RotaryTables rotary_;  // positions 0 … longest T seen; kept between steps
};

}  // namespace attnlab
