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
  // Room for `capacity` tokens of each of B sequences. With a window only the tokens that later ones can see
  // are kept: the memory does not grow with the sequence.
  LayerCache(const std::vector<CacheSlot>& layout, int64_t B, int64_t capacity, torch::TensorOptions options,
             int64_t window = 0);

  // Stores x_BTW as the newest T tokens of a slot and returns a view [B, S, width] of all tokens so far; with
  // a window, of the last window - 1 before these T and these. Every slot must be appended to once per forward
  // pass.
  torch::Tensor append(size_t slot, const torch::Tensor& x_BTW);
  // What append returned last, lengthened to a multiple of kAlignment tokens where the memory has them: matrix
  // units are several times as fast at such sizes. What stands behind the newest token is finite and means
  // nothing.
  torch::Tensor aligned(size_t slot) const;
  static constexpr int64_t kAlignment = 8;
  // Keeps only the given rows of the batch, in the given order (finished sequences leave).
  void select_rows(const torch::Tensor& rows);
  // The rows of two caches of one layout, newest tokens side by side: of each the last `length` tokens (what it
  // does not have of them is 0), with room for `capacity` in all. Of a layer with a window it may be fewer, as
  // many as the longer of the two keeps.
  static LayerCache joined(const LayerCache& first, const LayerCache& second, int64_t length, int64_t capacity);
  // Forgets the newest tokens, so that `length` are left: the next ones are stored in their place. For caches
  // without a window only, which may have moved out what would be seen again.
  void rewind(int64_t length);
  // Tokens that are kept.
  int64_t length() const { return lengths_.empty() ? 0 : lengths_.back(); }

 private:
  LayerCache() = default;
  void make_room(size_t slot, int64_t T);

  int64_t window_ = 0;
  std::vector<torch::Tensor> slots_;
  std::vector<int64_t> lengths_;
  std::vector<int64_t> shown_;  // tokens of the view that append returned last
};

}  // namespace attnlab
