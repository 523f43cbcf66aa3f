// Parameters of which each rank keeps its part (ZeRO, arXiv 1910.02054, stage 3; FSDP, arXiv 2304.11277).
#pragma once

#include <vector>

#include "model/decoder.h"
#include "model/layer_gate.h"
#include "model/precision.h"
#include "ranks/world.h"
#include "train/gradient_sums.h"
#include "train/sharded_state.h"

namespace attnlab {

// A layer's parameters are gathered before its passes, the next layer's meanwhile, and let go behind them; what
// lies around the layers (embedding, last norm, output matrix) stays through a step. Trained and frozen ones
// alike. In bf16_mixed the matrices of products are gathered in bfloat16, what autocast would make of them; own
// parts keep their format.
class ShardedParameters : public LayerGate {
 public:
  // `trained`: the decoder's that require a gradient. From now on parameters have values only while they are
  // gathered, and those of products the format that they are gathered in.
  ShardedParameters(Decoder& decoder, const NamedTensors& trained, Precision precision, World& world);
  // Parameters are left without values, unless make_whole came before.
  ~ShardedParameters() override;
  ShardedParameters(const ShardedParameters&) = delete;
  ShardedParameters& operator=(const ShardedParameters&) = delete;

  // Buckets of the trained parameters, in the order in which their gradients are complete: indices in
  // `trained`, and the own slices.
  const std::vector<BucketLayout>& layouts() const { return layouts_; }
  const std::vector<torch::Tensor>& own() const { return own_; }
  // Must be of these layouts; it is told when they are complete.
  void send_to(GradientSums& sums) { sums_ = &sums; }

  // Around the passes of a step, and behind each backward pass. All ranks make the same passes.
  void begin_step();
  void end_pass();
  void end_step();

  // While one lives, all parameters are gathered, for passes without a graph. All ranks make one.
  class Whole {
   public:
    explicit Whole(ShardedParameters* parameters);  // null: they are whole anyway
    ~Whole();
    Whole(const Whole&) = delete;
    Whole& operator=(const Whole&) = delete;

   private:
    ShardedParameters* parameters_;
  };
  // All are whole for good, in the format of the own parts. All ranks call it.
  void make_whole();

  void before(size_t layer) override;
  void behind(size_t layer, bool goes_back) override;
  void before_backward(size_t layer) override;
  void behind_backward(size_t layer) override;

 private:
  struct Bucket {
    std::vector<torch::Tensor> parameters;
    std::vector<int64_t> begins;
    torch::Tensor whole, own;  // [numbers], with memory while it is gathered, and [numbers / ranks]
    bool trained = false;
  };
  struct Group {
    std::vector<Bucket> buckets;
    std::vector<PendingHandle> pending;  // under way
    bool here = false;
  };
  void add_group(const std::vector<torch::Tensor>& parameters, const std::vector<torch::Tensor>& in_products);
  Bucket make_bucket(const std::vector<torch::Tensor>& parameters, const BucketLayout& layout,
                     torch::ScalarType gathered);
  void start(Group& group);
  void wait(Group& group);
  void let_go(Group& group);
  void send(const Group& group);
  // Layers above have gone back: their gradients leave.
  void close_down_to(size_t layer);
  Group& outer() { return groups_.back(); }
  size_t layers() const { return groups_.size() - 1; }

  Decoder& decoder_;
  World& world_;
  Precision precision_;
  std::vector<Group> groups_;  // of each layer, and last of all else
  std::vector<BucketLayout> layouts_;
  std::vector<torch::Tensor> own_;
  GradientSums* sums_ = nullptr;
  size_t lowest_ = 0;  // layer that goes back
  size_t open_ = 0;    // layers below it have not gone back in this pass
  int64_t whole_ = 0;  // how many want all
};

}  // namespace attnlab
