#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/rms_norm.cuh"
#include "kernels/vectors.cuh"

namespace attnlab::cuda {
namespace {

using norm::kMostThreads;  // of a row
using norm::kPacks;
using norm::pack_of;

// A block is blockDim.y rows, each of blockDim.x threads, a multiple of 32. A thread keeps up to kPacks packs
// of n numbers of its row in registers: those from (k · blockDim.x + threadIdx.x) · n on.
constexpr int kUsualThreads = 256;  // of a block of several rows

__device__ inline int place_of(int k, int n) {
  return (k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * n;
}

// Σ over the threads of a row, in a fixed order; each of them gets it. All threads of the block must call.
__device__ inline float sum_over_row(float own) {
  for (int step = 16; step > 0; step /= 2) own += __shfl_xor_sync(~0u, own, step);
  const int warps = static_cast<int>(blockDim.x) / 32;
  if (warps == 1) return own;
  __shared__ float of_warp[kMostThreads / 32];
  float* of_row = of_warp + static_cast<int>(threadIdx.y) * warps;
  __syncthreads();  // the sum before has been read
  if (threadIdx.x % 32 == 0) of_row[threadIdx.x / 32] = own;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < warps; ++warp) sum += of_row[warp];
  return sum;
}

template <class T, class A, int n>
__global__ void __launch_bounds__(kMostThreads)
    forward(NormRows rows, const T* x, const A* added, const T* weight, T* stream, T* normed, float* r) {
  const int width = static_cast<int>(rows.width);
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y, begin = row * width;
  float v[kPacks][n], squares = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int at = place_of(k, n);
    if (row >= rows.rows || at >= width) continue;
    read(x + begin + at, v[k]);
    if (added) {
      float a[n];
      read(added + begin + at, a);
#pragma unroll
      for (int i = 0; i < n; ++i) v[k][i] = load(round_to<T>(v[k][i] + a[i]));
      write(stream + begin + at, v[k]);
    }
#pragma unroll
    for (int i = 0; i < n; ++i) squares += v[k][i] * v[k][i];
  }
  const float root = rsqrtf(sum_over_row(squares) / static_cast<float>(width) + rows.eps);
  if (row >= rows.rows) return;
  if (r && threadIdx.x == 0) r[row] = root;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int at = place_of(k, n);
    if (at >= width) continue;
    float w[n];
    read(weight + at, w);
#pragma unroll
    for (int i = 0; i < n; ++i) w[i] *= v[k][i] * root;
    write(normed + begin + at, w);
  }
}

// The block's part of dweight: over its rows' threads, in their order.
template <int n>
__device__ inline void write_part(const float (&dw)[kPacks][n], int width, float* part) {
  extern __shared__ float of_row[];  // [blockDim.y, width]
  float* own = blockDim.y == 1 ? part : of_row + static_cast<int>(threadIdx.y) * width;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int at = place_of(k, n);
    if (at >= width) continue;
#pragma unroll
    for (int i = 0; i < n; ++i) own[at + i] = dw[k][i];
  }
  if (blockDim.y == 1) return;
  __syncthreads();
  const int threads = static_cast<int>(blockDim.x * blockDim.y);
  for (int at = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); at < width; at += threads) {
    float sum = 0;
    for (int row = 0; row < static_cast<int>(blockDim.y); ++row) sum += of_row[row * width + at];
    part[at] = sum;
  }
}

// dx = dstream + r (w d - x r² mean(w d x)) for d = dnormed; parts of dweight = Σ d x r.
template <class T, int n>
__global__ void __launch_bounds__(kMostThreads)
    backward(NormRows rows, const T* dnormed, const T* dstream, const T* stream, const T* weight,
             const float* r, T* dx, float* parts) {
  const int width = static_cast<int>(rows.width);
  float dw[kPacks][n] = {};
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
  // All threads of a block take as many turns.
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y; first < rows.rows; first += step) {
    const int64_t row = first + threadIdx.y, begin = row * width;
    const float root = row < rows.rows ? r[row] : 0;
    float x[kPacks][n], d[kPacks][n], along = 0;
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int at = place_of(k, n);
      if (row >= rows.rows || at >= width) continue;
      float w[n];
      read(stream + begin + at, x[k]);
      read(dnormed + begin + at, d[k]);
      read(weight + at, w);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        dw[k][i] += d[k][i] * (x[k][i] * root);
        d[k][i] *= w[i];
        along += d[k][i] * x[k][i];
      }
    }
    const float share = sum_over_row(along) * root * root * root / static_cast<float>(width);
    if (row >= rows.rows || !dx) continue;
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int at = place_of(k, n);
      if (at >= width) continue;
      float sum[n] = {};
      if (dstream) read(dstream + begin + at, sum);
#pragma unroll
      for (int i = 0; i < n; ++i) sum[i] += d[k][i] * root - x[k][i] * share;
      write(dx + begin + at, sum);
    }
  }
  if (parts) write_part(dw, width, parts + static_cast<int64_t>(blockIdx.x) * width);
}

constexpr int kTile = 32;

template <class T>
__global__ void join(const float* parts, int n_parts, int64_t width, T* dweight) {
  __shared__ float of_thread[kTile][kTile + 1];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kTile + threadIdx.x;
  float sum = 0;
  if (column < width)
    for (int part = static_cast<int>(threadIdx.y); part < n_parts; part += kTile)
      sum += parts[part * width + column];
  of_thread[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= width) return;
  for (int y = 1; y < kTile; ++y) sum += of_thread[y][threadIdx.x];
  dweight[column] = round_to<T>(sum);
}

// Threads of a row; 0: too wide.
int threads_of(int64_t width, int n) {
  for (int threads = 32; threads <= kMostThreads; threads *= 2)
    if (width <= static_cast<int64_t>(threads) * kPacks * n) return threads;
  return 0;
}

// launch(numbers of a pack, block)
template <class T, class Launch>
void by_width(int64_t width, const Launch& launch) {
  const auto block_of = [width](int n) {
    const int threads = threads_of(width, n);
    return dim3(threads, threads < kUsualThreads ? kUsualThreads / threads : 1);
  };
  constexpr int wide = pack_of<T>();
  if (width % wide == 0)
    launch(std::integral_constant<int, wide>{}, block_of(wide));
  else
    launch(std::integral_constant<int, 1>{}, block_of(1));
}

}  // namespace

bool fits_rms_norm(Format format, int64_t width) {
  const int wide = format == Format::bfloat16 ? pack_of<__nv_bfloat16>() : pack_of<float>();
  return width > 0 && threads_of(width, width % wide == 0 ? wide : 1) > 0;
}

cudaError_t rms_norm(Format format, Format added_format, const NormRows& rows, const NormInputs& in,
                     void* stream, void* normed, float* r, cudaStream_t cuda_stream) {
  if (rows.rows == 0) return cudaSuccess;
  with_type(format, [&](auto* type) {
    with_type(added_format, [&](auto* added_type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using A = std::remove_pointer_t<decltype(added_type)>;
      const auto launch = [&](auto kernel, int64_t blocks, dim3 block) {
        kernel<<<static_cast<unsigned>(blocks), block, 0, cuda_stream>>>(
            rows, static_cast<const T*>(in.x), static_cast<const A*>(in.added),
            static_cast<const T*>(in.weight), static_cast<T*>(stream), static_cast<T*>(normed), r);
      };
      if (rows.rows <= norm::kFewRows)
        norm::with_packs<T>(rows.width, [&](auto n, auto packs) {
          launch(norm::forward_few<T, A, n, packs>, rows.rows, norm::threads_of_few(rows.width, n));
        });
      else
        by_width<T>(rows.width, [&](auto n, dim3 block) {
          launch(forward<T, A, n>, (rows.rows + block.y - 1) / block.y, block);
        });
    });
  });
  return cudaGetLastError();
}

cudaError_t rms_norm_backward(Format format, const NormRows& rows, const NormGradientInputs& in, void* dx,
                              void* dweight, float* parts, int n_parts, cudaStream_t cuda_stream) {
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    by_width<T>(rows.width, [&](auto n, dim3 block) {
      const size_t shared =
          dweight && block.y > 1 ? block.y * static_cast<size_t>(rows.width) * sizeof(float) : 0;
      backward<T, n><<<static_cast<unsigned>(n_parts), block, shared, cuda_stream>>>(
          rows, static_cast<const T*>(in.dnormed), static_cast<const T*>(in.dstream),
          static_cast<const T*>(in.stream), static_cast<const T*>(in.weight), in.r, static_cast<T*>(dx),
          dweight ? parts : nullptr);
    });
    if (!dweight) return;
    const auto blocks = static_cast<unsigned>((rows.width + kTile - 1) / kTile);
    join<<<blocks, dim3(kTile, kTile), 0, cuda_stream>>>(parts, n_parts, rows.width, static_cast<T*>(dweight));
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
