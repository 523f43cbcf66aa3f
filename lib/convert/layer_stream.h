// A decoder of which one layer exists at a time: the hidden states of given tokens go through it layer by
// layer. What a conversion holds is these states and one layer, however large the model is.
//
// Shapes: B rows, T tokens of a row, D d_model.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/decoder.h"
#include "model/decoder_form.h"
#include "model/precision.h"

namespace attnlab {

// Rows of tokens, all starting at position 0, in batches that are computed at once: int64 [B, T] each.
struct TokenBatches {
  std::vector<torch::Tensor> ids_BT;

  int64_t tokens() const;
  TokenBatches to(torch::Device device) const;
};
// Cuts rows of T tokens into batches of about 2,048 tokens, which keep the processor's caches warm.
TokenBatches make_batches(const torch::Tensor& ids_NT);

// One layer in a form, its parameters being the given tensors ("self_attn.q_proj.weight", …) themselves.
std::shared_ptr<DecoderLayer> make_layer(const DecoderForm& form, int64_t layer, const TensorMap& tensors);

class LayerStream {
 public:
  // The embedded tokens. `embedding` [V, D] may lie on another device. Streams over the same tokens share what
  // they have in common: see `branch`.
  LayerStream(const DecoderForm& form, const TokenBatches& tokens, const torch::Tensor& embedding,
              torch::Device device);
  // The same tokens at the same depth, from here on in another form.
  LayerStream branch(const DecoderForm& form) const;

  const DecoderForm& form() const { return form_; }
  const std::vector<torch::Tensor>& states() const { return states_; }
  // For going on where another process stopped.
  void set_states(std::vector<torch::Tensor> states);
  void advance(int64_t layer, const TensorMap& tensors, Precision precision = Precision::float32);

 private:
  LayerStream() = default;

  DecoderForm form_;
  std::shared_ptr<const Rotary> rotary_;
  std::vector<torch::Tensor> states_;  // [B, T, D] of each batch, float32
};

// What the attention of one layer sees of the calibration tokens: normed hidden states.
class CalibrationInputs {
 public:
  // `norm`: the layer's input_layernorm.weight.
  CalibrationInputs(const LayerStream& stream, torch::Tensor norm) : stream_(stream), norm_(std::move(norm)) {}

  int64_t tokens() const;
  // Calls with [P, D], batch by batch.
  template <class Visit>
  void visit(const Visit& see) const {
    for (const auto& state : stream_.states()) see(normed(state).flatten(0, 1));
  }
  // Σ y yᵀ over tokens, y = W x + b: [rows, rows] float64. `weight` undefined: y = x.
  torch::Tensor second_moment(const torch::Tensor& weight, const torch::Tensor& bias) const;
  // Mean over tokens of RMS(y), or of 1 / √(RMS(y)² + eps) with the model's norm_eps.
  double mean_rms(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse) const;

 private:
  torch::Tensor normed(const torch::Tensor& state_BTD) const;

  const LayerStream& stream_;
  torch::Tensor norm_;
};

}  // namespace attnlab
