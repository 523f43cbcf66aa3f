// A decoder of which one layer exists at a time: the hidden states of given tokens go through it layer by
// layer. What a conversion holds is these states and one layer, however large the model is. Several devices
// share the states, and each has the layer.
//
// Shapes: B rows, T tokens of a row, D d_model.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "convert/devices.h"
#include "model/decoder.h"
#include "model/model_form.h"
#include "model/precision.h"
#include "tensor/torch.h"

namespace attnlab {

// Rows of tokens, all starting at position 0, in batches that are computed at once: int64 [B, T] each.
struct TokenBatches {
  std::vector<torch::Tensor> ids_BT;
  // bool, of each batch: false is padding behind a row's text, which no statistics take in. Empty: all is text.
  std::vector<torch::Tensor> valid_BT = {};

  int64_t tokens() const;
};
// Cuts rows of T tokens into batches of about 2,048 tokens, which keep the processor's caches warm.
TokenBatches make_batches(const torch::Tensor& ids_NT);

// One layer in a form, its parameters being the given tensors ("self_attn.q_proj.weight", …) themselves:
// exactly those that the form has.
std::shared_ptr<DecoderLayer> load_layer(const ModelForm& form, int64_t layer, const TensorMap& tensors);
// Before many products in `precision`: matrices that autocast would round for each batch are rounded once, and
// those of one input lie side by side.
void prepare_products(DecoderLayer& layer, Precision precision);

// One layer on each device, made of the tensors there.
class LayerCopies {
 public:
  using Make = std::function<std::shared_ptr<DecoderLayer>(const TensorMap& tensors)>;
  LayerCopies(const Devices& devices, const TensorMap& tensors, const Make& make);
  DecoderLayer& of(size_t batch) const { return *copies_[batch % copies_.size()]; }

 private:
  std::vector<std::shared_ptr<DecoderLayer>> copies_;
};

class LayerStream {
 public:
  // The embedded tokens, dealt to the devices. `embedding` [V, D] may lie on another device. Streams over the
  // same tokens share what they have in common: see `branch`.
  LayerStream(const ModelForm& form, const TokenBatches& tokens, const torch::Tensor& embedding,
              const Devices& devices);
  // The same tokens at the same depth, from here on in another form.
  LayerStream branch(const ModelForm& form) const;

  // The first rows of the first batch, to look at how a layer works.
  LayerStream first_rows(int64_t rows) const;

  const ModelForm& form() const { return form_; }
  const Devices& devices() const { return devices_; }
  const std::vector<torch::Tensor>& states() const { return states_; }
  const std::vector<torch::Tensor>& valid() const { return valid_; }
  // For going on where another process stopped. They may lie anywhere.
  void set_states(const std::vector<torch::Tensor>& states);
  void advance(int64_t layer, const TensorMap& tensors, Precision precision = Precision::float32);
  // The layer, which must be the next one, as load_layer makes it.
  LayerCopies load(int64_t layer, const TensorMap& tensors) const;
  // Calls with what the layer's mixer reads beside each batch of states; devices at the same time.
  using VisitInput = std::function<void(size_t batch, const MixerInput& input)>;
  void each(int64_t layer, Precision precision, const VisitInput& visit) const;
  // sum_in_order over that.
  using VisitPart = std::function<void(size_t batch, const MixerInput& input, const AddPart& add)>;
  TensorMap sum(int64_t layer, Precision precision, const VisitPart& visit) const;

 private:
  ModelForm form_;
  Devices devices_;
  std::vector<torch::Tensor> states_;    // [B, T, D] of each batch, float32, on its device
  std::vector<torch::Tensor> valid_;     // bool [B, T] of each batch, there; or none
  mutable std::vector<KvBoard> boards_;  // of each batch: what layers leave for those behind
};

// What one layer, as the stage before left it, does with the calibration tokens.
class CalibrationInputs {
 public:
  // `tensors`: the layer's, of the stream's form.
  CalibrationInputs(const LayerStream& stream, int64_t layer, TensorMap tensors);

  int64_t tokens() const;
  // sum_in_order over what the mixer sees, normed hidden states [P, D] of a batch.
  TensorMap sum(const std::function<void(const torch::Tensor& x_PD, const AddPart& add)>& visit) const;
  // Σ y yᵀ over tokens, y = W x + b of the mixer's inputs: [rows, rows] float64. `weight` undefined: y = x.
  torch::Tensor second_moment(const torch::Tensor& weight, const torch::Tensor& bias) const;
  // Σ x xᵀ over the inputs of matrices of the layer ("mlp.down_proj", "self_attn.o_proj"): [columns, columns]
  // float64 each, in one run of the layer. Those that read one and the same input share the tensor. Experts see
  // the tokens that are routed to them; a matrix that no token reached is left out.
  TensorMap input_moments(const std::vector<std::string>& matrices) const;
  // All matrices that tokens are multiplied by, in the order in which they are, those that read the same input
  // together; experts of a layer count as one ("mlp.experts.*.up_proj"), and matrices that tokens don't meet as
  // such come last, apart.
  std::vector<std::vector<std::string>> matrix_groups() const;
  // Mean over tokens of RMS(y), or of 1 / √(RMS(y)² + eps) with the model's norm_eps.
  double mean_rms(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse) const;

 private:
  torch::Tensor normed(const torch::Tensor& state_BTD) const;

  const LayerStream& stream_;
  int64_t layer_;
  TensorMap tensors_;
};

}  // namespace attnlab
