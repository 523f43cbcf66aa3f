// What a decoding step does in MLA's absorbed form (arXiv 2405.04434) between its projections and the look at
// the latent, in one kernel on a GPU; elsewhere of torch's operations.
#pragma once

#include "kernels/fused.h"
#include "tensor/torch.h"

namespace attnlab {

// One token of each of B sequences: r numbers of each of N heads' queries turn, and a token [c, k_rope] of R +
// r numbers becomes [norm(c), turned k_rope]. Numbers of a head and of a token lie side by side.
struct LatentStep {
  torch::Tensor q_rope_BNr, kv_BW;
  torch::Tensor norm_weight_R;  // of the RMS norm; undefined: c stays as it is
  double eps = 0;
  torch::Tensor cos_Br, sin_Br;  // B or 1 rows, both halves alike
  RotaryPairs pairs = RotaryPairs::halves;
};

// While one lives in a thread, steps that have no kernel fit, too, so that who takes them is tested on any
// device.
class LatentStepsInParts {
 public:
  LatentStepsInParts() { ++depth_; }
  ~LatentStepsInParts() { --depth_; }
  LatentStepsInParts(const LatentStepsInParts&) = delete;
  LatentStepsInParts& operator=(const LatentStepsInParts&) = delete;
  static bool active() { return depth_ > 0; }

 private:
  inline static thread_local int depth_ = 0;
};

// Whether there is a kernel: a GPU, no gradient asked for, one format for all but the tables.
bool fits_latent_step(const LatentStep& step);

// The turned parts of queries go to q_out_BNr, the token of row b to row b of out_PW, or to row rows_B[b]
// (int64). No gradients. Formats are those of q_rope_BNr.
void take_latent_step(const LatentStep& step, torch::Tensor q_out_BNr, torch::Tensor out_PW,
                      const torch::Tensor& rows_B = {});

}  // namespace attnlab
