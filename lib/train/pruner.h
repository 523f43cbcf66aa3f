// Masks that train beside a decoder's weights until it is cut to a target shape (Sheared LLaMA, arXiv
// 2310.06694).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/cut_model.h"
#include "model/decoder.h"
#include "prune/constraints.h"
#include "train/adamw.h"
#include "train/prune_shape.h"

namespace attnlab {

class Pruner {
 public:
  // `prune_problem` must have been empty. Masks start open, multipliers at 0.
  Pruner(Decoder& decoder, const PruneConfig& config, uint64_t seed);

  // Draws the masks of a step, a pure function of seed, step and their parameters.
  void draw(int64_t step);
  // Puts them into the decoder, anew for each forward pass that has a backward of its own.
  void mask();
  // Behind the step's backward passes: the constraints' gradient is added, masks are lowered and multipliers
  // raised. Not finite: nothing changes.
  void update(int64_t step, bool finite);

  // The decoder as the cut model will be: the lowest of each mask at 0, those of the stream at 0 and 1.
  void show_cut();
  // Takes the masks out.
  void release() { decoder_.set_masks({}); }
  CutModel cut() const;

  // Expected share of the prunable parameters that is gone.
  double sparsity() const;
  // What a saved state keeps.
  std::vector<std::pair<std::string, torch::Tensor>> tensors() const;

 private:
  ModelMasks masks_of(const MaskParameters& values) const;
  MaskParameters evaluated() const;

  Decoder& decoder_;
  PruneConfig config_;
  uint64_t seed_;
  PrunedShape shape_;
  MaskTargets targets_;
  MaskParameters alpha_;
  MaskParameters drawn_, leaves_;  // of the step: with their graph to α, and cut off from it
  Constraints constraints_;
  AdamW mask_optimizer_, multiplier_optimizer_;
};

}  // namespace attnlab
