// Queries and keys of MLA (DeepSeek-V2, arXiv 2405.04434, eq. 14 to 19) from what its matrices give, where all
// tokens are new: rotary position on its own part of queries, and on one part of keys that all heads share. One
// kernel on a GPU, and one for the gradients, in place of passes over memory for parts apart.
#pragma once

#include "kernels/fused.h"
#include "kernels/latent_heads_layout.h"
#include "tensor/torch.h"

namespace attnlab {

// Products as they are, one format: queries q_BTQ, N heads of [nope, rope] numbers; W_KVB c as kv_BTK, N heads
// of [nope, value] numbers, k_rope_BTr. Tables [B or 1, T or 1, rope] of float32 or that format, both halves
// alike.
struct LatentHeads {
  torch::Tensor q_BTQ, kv_BTK, k_rope_BTr;
  int64_t value = 0;
  torch::Tensor cos_BTr, sin_BTr;
  int64_t N = 0;
  RotaryPairs pairs = RotaryPairs::halves;
};
// q = [q_nope, RoPE(q_rope)], k = [k_nope, RoPE(k_rope)], v: a token's heads side by side in memory. v is a
// view of kv_BTK.
struct AttendedHeads {
  torch::Tensor q_BNTH, k_BNTH, v_BNTV;
};

// What runs the kernels' source on a CPU. While one is told to a thread, tensors there are taken, too.
struct LatentHeadsKernels {
  using Run = void (*)(cuda::Format format, cuda::Format tables, const cuda::LatentHeadsLayout& layout,
                       const cuda::LatentHeadsPointers& at);
  Run forward, backward;
};
class LatentHeadsOnCpu {
 public:
  explicit LatentHeadsOnCpu(const LatentHeadsKernels& kernels) : before_(active_) { active_ = &kernels; }
  ~LatentHeadsOnCpu() { active_ = before_; }
  LatentHeadsOnCpu(const LatentHeadsOnCpu&) = delete;
  LatentHeadsOnCpu& operator=(const LatentHeadsOnCpu&) = delete;
  static const LatentHeadsKernels* active() { return active_; }

 private:
  inline static thread_local const LatentHeadsKernels* active_ = nullptr;
  const LatentHeadsKernels* before_;
};

// Whether make_latent_heads takes these with a kv_BTK to come: a GPU with kernels of our own, widths that are
// multiples of 16 bytes (rope of twice that).
bool fits_latent_heads(const LatentHeads& heads);
// Differentiable once, in the products. The gradient of k_rope is summed over the heads in float32, in their
// order.
AttendedHeads make_latent_heads(const LatentHeads& heads);

}  // namespace attnlab
