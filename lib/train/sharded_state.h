// Optimizer states of which each rank keeps its part (ZeRO, arXiv 1910.02054, stage 1), of parameters that are
// whole or kept in parts, too (sharded_parameters.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ranks/world.h"
#include "train/adamw.h"
#include "train/buckets.h"
#include "train/gradient_sums.h"

namespace attnlab {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// The tensors of which a bucket of parameters has slices.
enum class Kept { parameters, first_moments, second_moments };

class ShardedState {
 public:
  // Parameters move into flat buckets of which each rank updates its own slice, and then all gather the
  // others'.
  ShardedState(const NamedTensors& parameters, World& world, int64_t bucket_bytes = GradientSums::kBucketBytes);
  // Each rank updates `own`, its slices of buckets of the parameters laid out so, and nobody gathers.
  ShardedState(const NamedTensors& parameters, World& world, const std::vector<BucketLayout>& layouts,
               const std::vector<torch::Tensor>& own);

  // Parts of parameters in this rank's slices, with their moments.
  std::vector<AdamW::Slot> parts() const;
  // The sums' own slices become the gradients of the parts, in the order of `parts`.
  void give_gradients(const GradientSums& sums, std::vector<AdamW::Slot>& parts) const;
  // Updates the parts, and gathers everyone's slices of the parameters, bucket by bucket: one travels while the
  // next is updated. On a GPU the current stream waits. `skip`: see AdamW::update.
  void update(AdamW& optimizer, const torch::Tensor& skip);

  // A parameter's whole one, on the CPU and at rank 0 alone. All ranks call it, and in the same order. The last
  // two buckets that it gathered stay until forget_whole.
  torch::Tensor whole(Kept kept, size_t parameter);
  void forget_whole() { gathered_.clear(); }
  // A tensor of a parameter's shape, in the format of the parts; its values mean nothing.
  torch::Tensor like(size_t parameter) const;
  // Takes the own part of a parameter's whole one.
  void set(Kept kept, size_t parameter, const torch::Tensor& whole);

 private:
  struct Bucket {
    BucketLayout layout;
    torch::Tensor flat;     // [numbers], undefined where nobody gathers
    torch::Tensor kept[3];  // [numbers / ranks] of each, as in Kept
  };
  void add_bucket(Bucket bucket);
  size_t bucket_of(size_t parameter) const;
  // A parameter's numbers from `begin` on lie at `place` of the bucket's own slice.
  struct Part {
    size_t bucket, parameter;
    int64_t begin, place, count;
  };
  World& world_;
  NamedTensors parameters_;
  std::vector<Bucket> buckets_;
  std::vector<Part> parts_;
  std::vector<std::pair<std::pair<Kept, size_t>, torch::Tensor>> gathered_;  // the last used behind
};

}  // namespace attnlab
