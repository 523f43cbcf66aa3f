// What is told of a decoder's layers while passes go through them.
#pragma once

#include <functional>

#include "tensor/torch.h"

namespace attnlab {

// Whoever keeps a layer's parameters elsewhere brings them for as long as a pass uses them.
class LayerGate {
 public:
  virtual ~LayerGate() = default;
  // Before and behind a layer's forward pass. `goes_back`: a backward pass of the layer will follow.
  virtual void before(size_t layer) = 0;
  virtual void behind(size_t layer, bool goes_back) = 0;
  // Before and behind its backward pass, whose gradients of parameters are complete then. The latter is not
  // told where the layer's input has no gradient: the layer is the last one then.
  virtual void before_backward(size_t layer) = 0;
  virtual void behind_backward(size_t layer) = 0;
};

// y = forward(x), the gate being told of both passes. The same bits.
torch::Tensor through_gate(LayerGate& gate, size_t layer, const torch::Tensor& x_BTD,
                           const std::function<torch::Tensor(const torch::Tensor& x_BTD)>& forward);

}  // namespace attnlab
