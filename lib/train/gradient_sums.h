// The gradients of all ranks, summed while the backward pass goes on.
#pragma once

#include <memory>
#include <vector>

#include "ranks/world.h"
#include "tensor/torch.h"
#include "train/buckets.h"

namespace attnlab {

// Gradients travel in flat buckets, float32 (float64 for such parameters) whatever type they have, in the
// reverse order of the parameters, which is nearly that in which they are completed (buckets.h). A bucket
// leaves when all of it is there and those before it have left, so that all ranks send the same in the same
// order. Or it leaves when its owner says so, in each pass.
class GradientSums {
 public:
  static constexpr int64_t kBucketBytes = int64_t{32} << 20;

  // So many may be under way to slices: what they were sent from is then let go. Of told ones fewer, which are
  // larger.
  static constexpr size_t kUnderWay = 4, kToldUnderWay = 1;

  enum class To { parameters, slices };  // where the sums go: to all, or each rank's slice of a bucket to it

  // While it lives it hears of each gradient (torch's hooks).
  GradientSums(std::vector<torch::Tensor> parameters, World& world, To to = To::parameters,
               int64_t bucket_bytes = kBucketBytes);
  // To slices of these buckets, each told to leave in each of a step's passes (send_told). Slices of passes are
  // added.
  GradientSums(std::vector<torch::Tensor> parameters, World& world, std::vector<BucketLayout> layouts);
  ~GradientSums();
  GradientSums(const GradientSums&) = delete;
  GradientSums& operator=(const GradientSums&) = delete;

  // The backward pass that follows is the last of this step here: what it completes may leave.
  void expect_last();
  // The gradients of the next bucket of this pass are complete, or there are none.
  void send_told();
  // Sends what has not left, waits for all, and makes the sums the parameters' gradients (To::parameters).
  void finish();

  // Behind `finish`. The squared length of the part of the sums that this rank has to count, a float32 scalar:
  // all ranks' together are that of the whole.
  torch::Tensor own_squares() const;
  // For each parameter 1 if it has a gradient here, otherwise 0; float32 on the device.
  torch::Tensor used() const;
  bool all_used() const;
  // Takes gradients away from parameters that have one at no rank. `used`: the ranks' sum of `used`; undefined:
  // no rank has one where this one has none.
  void drop_unused(const torch::Tensor& used);
  // Behind that, of To::slices: the own slice of a bucket's sum, and whether a parameter has a gradient.
  const torch::Tensor& slice(size_t bucket) const;
  // Behind the update: lets the sums go.
  void forget();
  bool has_gradient(size_t parameter) const { return has_[parameter] != 0; }

 private:
  struct Bucket;
  struct Hook;
  void make_buckets(std::vector<BucketLayout> layouts);
  void ready(size_t parameter);
  void send_next();
  void send(Bucket& bucket);
  void join(Bucket& bucket);

  World& world_;
  std::vector<torch::Tensor> parameters_;
  std::vector<size_t> bucket_of_;
  To to_;
  std::vector<char> used_, has_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  size_t next_ = 0;  // to leave
  bool last_ = false;
  bool told_ = false;
};

}  // namespace attnlab
