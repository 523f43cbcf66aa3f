// What stands between the norms of a layer: a module that maps hidden states to hidden states and says what it
// keeps while generating. Attention (attention.h) is one kind, a recurrence another.
//
// Shapes: B batch, T new tokens, D d_model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "attention/kv_board.h"
#include "attention/shape.h"
#include "state/layer_state.h"
#include "state/layout.h"
#include "state/sequence.h"
#include "tensor/torch.h"

namespace attnlab {

struct MixerInput {
  torch::Tensor x_BTD;
  std::shared_ptr<const Sequence> sequence;
  size_t rotary = 0;            // which of the sequence's tables this layer turns by
  LayerState* state = nullptr;  // what was kept of the tokens before, and keeps these
  KvBoard* board = nullptr;     // for layers that share keys and values within the pass
};

class Mixer : public torch::nn::Module {
 public:
  explicit Mixer(const AttentionShape& shape) : shape_(shape) {}

  // [B, T, D] → [B, T, D]; the state's policy chooses behind it.
  torch::Tensor forward(const MixerInput& input);

  // What a state keeps of each token, in the order in which `mix` remembers it, and whatever the length.
  virtual StateLayout state_layout() const = 0;
  // What new states are made of on a device, where the mixer has a choice that its results don't depend on.
  virtual StateLayout state_layout_on(torch::Device /*device*/) const { return state_layout(); }
  // Multiply-adds × 2 of one token's forward pass in training, averaged over a causal sequence of T tokens.
  virtual double forward_flops_per_token(int64_t T) const = 0;
  // The parts, by their names in the module ("q_proj"), that make queries and the output. The rest makes what
  // is kept: the scope attention_kv trains it.
  virtual std::vector<std::string> query_and_output_parts() const = 0;
  // Parameters that say how the layer is built and are never trained, by their names in it.
  virtual std::vector<std::string> fixed_parameters() const { return {}; }
  // Chooses the path for decoding, where there are two; the result is the same up to rounding. False: there is
  // one.
  virtual bool set_absorb(bool /*absorb*/) { return false; }

  // It takes the last of the columns that its state shows for those of the new tokens, so that rows must end in
  // one column.
  virtual bool wants_rows_to_end_alike() const { return false; }

  // The layer whose keys and values this one looks at, itself if others look at its own; -1: nobody shares.
  virtual int64_t reads_layer() const { return -1; }

  const AttentionShape& shape() const { return shape_; }

 protected:
  virtual torch::Tensor mix(const MixerInput& input) = 0;
  // 2 FLOPs for each number of a matrix.
  double matrix_flops() const;

  AttentionShape shape_;
};

}  // namespace attnlab
