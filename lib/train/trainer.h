// One arm's training: steps, and a state that continues bit for bit.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "model/decoder.h"
#include "ranks/world.h"
#include "train/adamw.h"
#include "train/distillation.h"
#include "train/gradient_sums.h"
#include "train/pruner.h"
#include "train/sharded_parameters.h"
#include "train/sharded_state.h"
#include "train/state_file.h"
#include "train/step_graph.h"
#include "train/train_config.h"

namespace attnlab {

// What a step measured. Tensors are scalars on the device, so that reading them is the caller's choice. A step
// that is not finite changed nothing.
struct StepResult : StepTensors {
  int64_t tokens = 0;  // without padding
  double learning_rate = 0;
};

// Where a saved run stands.
struct TrainProgress {
  int64_t step = 0, tokens = 0;
  double seconds = 0;
  // The lowest held-out loss so far and where it was measured.
  std::optional<double> best_heldout_loss;
  int64_t best_heldout_step = 0;
  std::string shares;  // of a mixture's parts so far, as whoever makes the batches says it
};

class Trainer {
 public:
  // Trains the parameters that require a gradient. `teacher`: given exactly if config.distill is
  // (distillation.h). `world`: the ranks that make each step together, from the parameters that rank 0 has; all
  // of them call the same. share_problem must have been empty.
  Trainer(Decoder& decoder, const TrainConfig& config, std::shared_ptr<Decoder> teacher = nullptr,
          World& world = World::alone());

  // The step-th step (from 1) on its micro-batches. The loss is normalised by the targets of all of them.
  // Each rank is given all of them and computes its share (rank_share.h).
  // `rate`: instead of the schedule's. On a GPU, steps of one shape become a CUDA graph (config.cuda_graph).
  StepResult step(int64_t step, const std::vector<Batch>& micro_batches, std::optional<double> rate = {});

  // With train.shard: parameters these have values in steps alone; otherwise the next two do nothing. All ranks
  // call them. While the first's lives, all have those that steps compute with.
  ShardedParameters::Whole whole_parameters() { return ShardedParameters::Whole(parameters_.get()); }
  // They are whole for good, as they were trained, and no step follows.
  void make_whole();

  // From now on masks train beside the weights; null: no longer. `pruner` must be of this decoder and outlive
  // it.
  void set_pruner(Pruner* pruner) { pruner_ = pruner; }

  // How many steps were launched as a recorded graph.
  int64_t replayed_steps() const { return graph_ ? graph_->replayed() : 0; }

  // Trained parameters, both moments, those of masks, the generators and the place in the data, in one file
  // (state_file.h); the last `keep_checkpoints` stay. All ranks call it, rank 0 writes. Throws RunError.
  void save(const std::filesystem::path& path, const TrainProgress& progress) const;
  // Puts back what `save` wrote. Throws InputError if it is of another model or another order of the data.
  // `state`: null at other ranks than the first, which get what that one reads.
  TrainProgress load(const SafetensorsFile* state);
  TrainProgress load(const SafetensorsFile& state) { return load(&state); }

 private:
  int64_t rows_per_step() const { return config_.batch_size * config_.micro_batches; }
  // `recordable`: all ranks have targets.
  StepTensors compute(const std::vector<LossInput>& inputs, int64_t targets, bool recordable);
  // One micro-batch: its gradients, and its share of the step's means.
  void add_losses(const LossInput& input, int64_t targets, StepTensors& step);
  // Sums over ranks: gradients, and what the step measured.
  void spread(StepTensors& step, bool recordable);
  // What this rank computes of a step's micro-batches.
  std::vector<Batch> own_share(const std::vector<Batch>& micro_batches, int64_t targets) const;
  void check_state(const SafetensorsFile& state) const;
  // What is saved. All ranks call it.
  std::map<std::string, LateTensor> state_tensors() const;
  // Whether this rank keeps slices.
  bool in_parts(Kept kept) const;
  // Where it is not kept in parts.
  torch::Tensor whole_tensor(Kept kept, size_t parameter) const;
  // What a recorded step refers to.
  std::vector<torch::Tensor> kept_tables() const;

  Decoder& decoder_;
  TrainConfig config_;
  World& world_;
  NamedTensors trained_;
  std::unique_ptr<ShardedParameters> parameters_;  // train.shard: parameters
  std::unique_ptr<ShardedState> sharded_;          // that, or optimizer
  AdamW optimizer_;
  std::optional<GradientSums> sums_;  // with several ranks
  torch::Tensor stop_;                // on the device: 1 if this rank was interrupted
  std::optional<Distillation> distillation_;
  std::optional<StepGraph> graph_;
  Pruner* pruner_ = nullptr;
  int64_t step_ = 0;
};

}  // namespace attnlab
