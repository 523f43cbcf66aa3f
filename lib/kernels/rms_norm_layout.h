// What the kernels of a norm are told. Without CUDA, so that their source can be compiled for CPUs, too.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

struct NormRows {
  int64_t rows, width;
  float eps;
};

}  // namespace attnlab::cuda
