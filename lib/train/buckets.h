// How parameters lie in flat buckets.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// Parameters of one type, one behind the other. Each rank owns an equal slice of a bucket.
struct BucketLayout {
  std::vector<size_t> parameters;  // indices
  std::vector<int64_t> begins;     // where each begins
  int64_t numbers = 0;             // a multiple of the ranks, gaps included
};

// In the reverse order of the parameters. A bucket takes `bucket_bytes` of sums (sum_type), or one parameter
// that is larger.
std::vector<BucketLayout> lay_out(const std::vector<torch::Tensor>& parameters, int64_t ranks,
                                  int64_t bucket_bytes);

// What gradients of a parameter are summed in: float32, float64 for float64.
torch::ScalarType sum_type(const torch::Tensor& parameter);

}  // namespace attnlab
