// The decoder: embedding, layers of attention and MLP with RMS norms before each (Gemma 2: behind each, too),
// final norm, output matrix. Parameters carry the names of Hugging Face's Llama
// ("model.layers.0.self_attn.q_proj.weight", …); families whose files differ are mapped (families/families.h).
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
#include "model/masks.h"
#include "model/mlp.h"

namespace attnlab {

// The variant that the checkpoint's own attention is: gqa or deepseek_mla.
VariantConfig native_variant(const DecoderConfig& config);

// What a forward pass reads beside the tokens, for sequences that are padded or go on from a cache.
// Default: whole sequences from position 0, causal.
struct DecoderContext {
  RotaryTables rotary;                        // of all S tokens; undefined: positions 0 … T-1
  torch::Tensor mask_B1TS;                    // bool, true where a query may look, causal; undefined: causal.
                                              // Layers with a window lay it over this
  std::vector<LayerCache>* caches = nullptr;  // one per layer
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const DecoderConfig& config, const VariantConfig& variant, int64_t index);
  torch::Tensor forward(torch::Tensor x_BTD, AttentionInput input);
  const std::shared_ptr<Attention>& attention() const { return attention_; }
  const Mlp& mlp() const { return *mlp_; }

 private:
  // Norms before attention and MLP, and behind each where the family has them.
  RmsNorm attention_norm_{nullptr}, mlp_norm_{nullptr}, after_attention_{nullptr}, after_mlp_{nullptr};
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<Mlp> mlp_;
};

class Decoder : public torch::nn::Module {
 public:
  // Weights mean nothing until load_weights fills them.
  Decoder(const DecoderConfig& config, const VariantConfig& variant);

  // Token ids [B, T] → hidden states after the final norm [B, T, D].
  torch::Tensor hidden(const torch::Tensor& ids_BT, const DecoderContext& context = {});
  // From now on, forward passes with a graph keep each layer's input alone (recompute.h).
  void recompute_layers(bool yes) { recompute_ = yes; }
  // [V, D]: the embedding, where the two are tied.
  const torch::Tensor& output_weight() const { return config_.tie_embeddings ? embedding_ : lm_head_; }
  // Hidden states [..., D] → logits [..., V], capped where the family caps them.
  torch::Tensor logits(const torch::Tensor& hidden) const;

  // Tables for given positions. `lengths`: see Rotary::tables.
  RotaryTables rotary_at(const torch::Tensor& positions_BT, const torch::Tensor& lengths = {}) const;
  const Rotary& rotary() const { return rotary_; }
  // The tables that passes without any use, so far; a longer sequence replaces them.
  std::vector<torch::Tensor> kept_tables() const;
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
  Rotary rotary_;
  torch::Tensor embedding_, lm_head_;
  RmsNorm final_norm_{nullptr};
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  bool recompute_ = false;
  std::array<RotaryTables, 2> kept_tables_;  // positions 0 … longest T seen, of short and of long sequences
};

}  // namespace attnlab
