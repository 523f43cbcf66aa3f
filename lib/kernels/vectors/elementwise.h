// Declared apart from their table, which stands in attention.cpp.
#pragma once

#include <stdint.h>

namespace attnlab::vectors::ATTNLAB_VECTORS {

void gated_silu(const float* gate, const float* up, int64_t n, float* out);
void gated_silu_backward(const float* gate, const float* up, const float* dout, int64_t n, float* dgate,
                         float* dup);
float cross_entropy(float* logits, int64_t n, int64_t target, bool gradient);

}  // namespace attnlab::vectors::ATTNLAB_VECTORS
