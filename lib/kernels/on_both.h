// A function for kernels and for those who launch them, in headers without CUDA.
#pragma once

#ifdef __CUDACC__
#define ATTNLAB_ON_BOTH __host__ __device__
#else
#define ATTNLAB_ON_BOTH
#endif
