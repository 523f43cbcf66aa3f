// Optimizer states of which each rank keeps its part (ZeRO, arXiv 1910.02054, stage 1).
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

// Parameters move into flat buckets of which each rank updates its own slice, and then all gather the others'.
class ShardedState {
 public:
  ShardedState(const NamedTensors& parameters, World& world, int64_t bucket_bytes = GradientSums::kBucketBytes);

  // Parts of parameters in this rank's slices, with their moments.
  std::vector<AdamW::Slot> parts() const;
  // The sums' own slices become the gradients of the parts, in the order of `parts`.
  void give_gradients(const GradientSums& sums, std::vector<AdamW::Slot>& parts) const;
  // Updates the parts, and gathers everyone's slices of the parameters, bucket by bucket: one travels while the
  // next is updated. On a GPU the current stream waits. `skip`: see AdamW::update.
  void update(AdamW& optimizer, const torch::Tensor& skip);

  // Whole moments (0: first, 1: second) by parameter, on the CPU and at rank 0 alone. All ranks call it.
  std::vector<torch::Tensor> whole_moments(int64_t which);
  // Takes the own part of a parameter's whole moment.
  void set_moment(int64_t which, size_t parameter, const torch::Tensor& whole);

 private:
  struct Bucket {
    BucketLayout layout;
    torch::Tensor flat, own, moments[2];  // [numbers], and [numbers / ranks]
  };
  // A parameter's numbers from `begin` on lie at `place` of the bucket's own slice.
  struct Part {
    size_t bucket, parameter;
    int64_t begin, place, count;
  };
  World& world_;
  NamedTensors parameters_;
  std::vector<Bucket> buckets_;
  std::vector<Part> parts_;
};

}  // namespace attnlab
