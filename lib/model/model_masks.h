// Numbers that parts of a decoder are multiplied by while it is pruned (Sheared LLaMA, arXiv 2310.06694,
// section 2.1). An undefined mask takes nothing out.
//
// Shapes: N query heads, I columns of the MLP, D d_model.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

struct LayerMasks {
  torch::Tensor heads_N;         // a query head's output, in front of o_proj
  torch::Tensor columns_I;       // up_proj's output
  torch::Tensor attention, mlp;  // [], the blocks' outputs
};

struct ModelMasks {
  torch::Tensor hidden_D;          // the embedding, what blocks add to the stream, and norms' outputs
  std::vector<LayerMasks> layers;  // one each, or none
  bool embedding = true;           // false: the embedding is not masked (as public code does inside its model)
};

}  // namespace attnlab
