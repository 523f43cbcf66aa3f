// Choosing the next token.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

struct SamplingOptions {
  double temperature = 0;  // logits are divided by it; 0: the likeliest token, and nothing below matters
  int64_t top_k = 0;       // only the k likeliest tokens; 0: all
  double top_p = 1;        // of those, the fewest likeliest ones with at least this share (arXiv 1904.09751)
};

// logits_BV [B, V] → tokens [B]. `uniforms_B`: a number in [0, 1) for each row, which decides (the inverse of
// the cumulative distribution, likeliest token first); may be undefined at temperature 0.
torch::Tensor choose_tokens(const torch::Tensor& logits_BV, const SamplingOptions& options,
                            const torch::Tensor& uniforms_B);

}  // namespace attnlab
