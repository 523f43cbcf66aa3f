// Kernels of lib/kernels, run on the CPU by their own source (cuda_block.h). Arguments as in cuda_kernels.h.
#pragma once

#include "kernels/wkv_layout.h"

namespace attnlab::test {

void wkv_scan_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in, const cuda::HeadsOut& o,
                     const cuda::HeadsOut& u, float* last);
void wkv_scan_backward_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in,
                              const cuda::WkvResults& results, const cuda::WkvGradients& out);

// width ≤ 64, float32.
void paired_softmax_on_cpu(const float* y, float* out, int64_t rows, int width, float least);
void paired_softmax_backward_on_cpu(const float* out, const float* dout, float* dy, int64_t rows, int width,
                                    float least);

// K = 4, runs of `run` tokens, `begins` [B, T] or null; float32.
struct ConvOnCpu {
  int64_t B, T, C, run;
  const float *x, *w, *bias;
  const bool* begins;
};
void short_conv_on_cpu(const ConvOnCpu& conv, float* y);
void short_conv_backward_on_cpu(const ConvOnCpu& conv, const float* dy, float* dx, float* partial);

}  // namespace attnlab::test
