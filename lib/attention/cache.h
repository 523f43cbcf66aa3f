// The cache of one layer while generating: for each slot that the variant names, a preallocated [B, S, width].
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

struct CacheSlot {
  std::string name;   // "k", "v", "k_latent", …
  int64_t width = 0;  // numbers per token
};

class LayerCache {
 public:
  // Room for `capacity` tokens of each of B sequences.
  LayerCache(const std::vector<CacheSlot>& layout, int64_t B, int64_t capacity, torch::TensorOptions options);

  // Stores x_BTW as the newest T tokens of a slot and returns all tokens so far: a view [B, S, width].
  // Every slot must be appended to once per forward pass.
  torch::Tensor append(size_t slot, const torch::Tensor& x_BTW);
  // Keeps only the given rows of the batch, in the given order (finished sequences leave).
  void select_rows(const torch::Tensor& rows);
  int64_t length() const { return lengths_.empty() ? 0 : lengths_.back(); }

 private:
  std::vector<torch::Tensor> slots_;
  std::vector<int64_t> lengths_;
};

}  // namespace attnlab
