// Kernels of lib/kernels, run on the CPU by their own source (cuda_block.h). Arguments as in cuda_kernels.h.
#pragma once

#include "kernels/wkv_layout.h"

namespace attnlab::test {

void wkv_scan_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in, const cuda::HeadsOut& o,
                     const cuda::HeadsOut& u, float* last);
void wkv_scan_backward_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in,
                              const cuda::WkvResults& results, const cuda::WkvGradients& out);

}  // namespace attnlab::test
