#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/vectors.cuh"

// Softmax attention of one query per sequence, the cache split over blocks (flash decoding, as in PyTorch's
// blog of 2023-10-12): a block takes some query heads of one KV head over one part of the tokens and leaves a
// maximum, a sum and weighted values, which a second kernel puts together. Nothing depends on the length but
// loop bounds.
namespace attnlab::cuda {
namespace {

constexpr int kPack = 8;   // numbers in one access of a thread
constexpr int kLanes = 8;  // threads that share a token: a warp takes 4 tokens at a time
constexpr int kThreads = 128;
constexpr int kGroups = kThreads / kLanes;
constexpr float kNever = -INFINITY;

__device__ inline float over_lanes(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// What a part of the tokens gives for one query head.
struct Partial {
  float maximum, sum;
};

__device__ inline float weight_of(float score, float maximum) {
  return maximum == kNever ? 0.0f : __expf(score - maximum);
}

// Work of block (x: part, y: KV head and chunk of its query heads, z: sequence).
struct Job {
  int64_t b, g, head, begin, end;
};

__device__ inline Job job_of(const SingleQueryLayout& l, int heads) {
  const int64_t chunks = (l.n + heads - 1) / heads;
  const int64_t begin = blockIdx.x * l.part;
  return {blockIdx.z, blockIdx.y / chunks, static_cast<int64_t>(blockIdx.y % chunks) * heads, begin,
          begin + l.part < l.S ? begin + l.part : l.S};
}

template <int packs, class T>
__device__ inline void read_row(const T* row, int64_t width, int lane, float (&out)[packs * kPack]) {
#pragma unroll
  for (int p = 0; p < packs; ++p) {
    const int64_t at = (p * kLanes + lane) * kPack;
    float numbers[kPack] = {};
    if (at < width) read(row + at, numbers);
#pragma unroll
    for (int i = 0; i < kPack; ++i) out[p * kPack + i] = numbers[i];
  }
}

// What the groups of a block have of one query head, together.
template <int own>
__device__ inline void leave(const SingleQueryLayout& l, int64_t place, Partial mine, const float (&sum_v)[own],
                             Partial* partials, float* values) {
  __shared__ Partial ends[kGroups];
  __shared__ float shares[kGroups][kLanes * own];
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes;
  if (lane == 0) ends[group] = mine;
#pragma unroll
  for (int i = 0; i < own; ++i) shares[group][(i / kPack * kLanes + lane) * kPack + i % kPack] = sum_v[i];
  __syncthreads();
  float highest = kNever, total = 0;
#pragma unroll
  for (int other = 0; other < kGroups; ++other) highest = fmaxf(highest, ends[other].maximum);
#pragma unroll
  for (int other = 0; other < kGroups; ++other)
    total += ends[other].sum * weight_of(ends[other].maximum, highest);
  for (int64_t i = threadIdx.x; i < l.value_width; i += kThreads) {
    float value = 0;
#pragma unroll
    for (int other = 0; other < kGroups; ++other)
      value += shares[other][i] * weight_of(ends[other].maximum, highest);
    values[place * l.value_width + i] = value;
  }
  if (threadIdx.x == 0) partials[place] = {highest, total};
  __syncthreads();
}

// heads: query heads that a block takes at most. packs: accesses in which kLanes threads read a row.
template <class T, int packs, int heads>
__global__ void __launch_bounds__(kThreads) look(SingleQueryLayout l, const T* q, const T* k, const T* v,
                                                 const bool* mask, Partial* partials, float* values) {
  constexpr int own = packs * kPack;
  const Job job = job_of(l, heads);
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes;
  float query[heads][own], sum_v[heads][own] = {}, maximum[heads], sum[heads] = {};
#pragma unroll
  for (int h = 0; h < heads; ++h) {
    maximum[h] = kNever;
    const int64_t head = job.head + h < l.n ? job.head + h : job.head;
    read_row<packs>(q + ((job.b * l.G + job.g) * l.n + head) * l.key_width, l.key_width, lane, query[h]);
  }
  const T* keys = k + job.b * l.k.b + job.g * l.k.n;
  const T* rows = v + job.b * l.v.b + job.g * l.v.n;
  const bool* allowed = mask ? mask + job.b * l.mask.b + job.g * l.mask.n : nullptr;
  // All threads of a warp take part in each exchange, the last tokens included.
  for (int64_t first = job.begin; first < job.end; first += kGroups) {
    const int64_t s = first + group;
    const bool there = s < job.end && (!allowed || allowed[s * l.mask.t]);
    float row[own] = {}, weight[heads];
    if (there) read_row<packs>(keys + s * l.k.t, l.key_width, lane, row);
#pragma unroll
    for (int h = 0; h < heads; ++h) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < own; ++i) score += query[h][i] * row[i];
      score = over_lanes(score) * l.scale;
      if (l.softcap > 0) score = l.softcap * tanhf(score / l.softcap);
      weight[h] = there ? score : kNever;
    }
    if (!there) continue;
    read_row<packs>(rows + s * l.v.t, l.value_width, lane, row);
#pragma unroll
    for (int h = 0; h < heads; ++h) {
      const float highest = fmaxf(maximum[h], weight[h]);
      const float shrink = weight_of(maximum[h], highest), w = weight_of(weight[h], highest);
      maximum[h] = highest;
      sum[h] = sum[h] * shrink + w;
#pragma unroll
      for (int i = 0; i < own; ++i) sum_v[h][i] = sum_v[h][i] * shrink + w * row[i];
    }
  }
  const int64_t query_row = (job.b * l.G + job.g) * l.n + job.head;
#pragma unroll
  for (int h = 0; h < heads; ++h)
    if (job.head + h < l.n)
      leave<own>(l, (query_row + h) * gridDim.x + blockIdx.x, {maximum[h], sum[h]}, sum_v[h], partials, values);
}

// A block for each query head.
template <class T>
__global__ void put_together(SingleQueryLayout l, int64_t parts, const Partial* partials, const float* values,
                             T* out) {
  const int64_t row = blockIdx.x;
  const Partial* mine = partials + row * parts;
  float highest = kNever, total = 0;
  for (int64_t p = 0; p < parts; ++p) highest = fmaxf(highest, mine[p].maximum);
  for (int64_t p = 0; p < parts; ++p) total += mine[p].sum * weight_of(mine[p].maximum, highest);
  for (int64_t i = threadIdx.x; i < l.value_width; i += blockDim.x) {
    float value = 0;
    for (int64_t p = 0; p < parts; ++p)
      value += values[(row * parts + p) * l.value_width + i] * weight_of(mine[p].maximum, highest);
    out[row * l.value_width + i] = round_to<T>(total > 0 ? value / total : 0.0f);
  }
}

template <class T, int packs, int heads>
void launch(const SingleQueryLayout& l, const void* q, const void* k, const void* v, const bool* mask,
            void* out, float* workspace, cudaStream_t stream) {
  const int64_t parts = (l.S + l.part - 1) / l.part, rows = l.B * l.G * l.n;
  auto* partials = reinterpret_cast<Partial*>(workspace);
  float* values = workspace + 2 * rows * parts;
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(l.G * ((l.n + heads - 1) / heads)),
                  static_cast<unsigned>(l.B));
  look<T, packs, heads><<<grid, kThreads, 0, stream>>>(l, static_cast<const T*>(q), static_cast<const T*>(k),
                                                       static_cast<const T*>(v), mask, partials, values);
  const unsigned threads = l.value_width > 64 ? 128 : 64;
  put_together<T>
      <<<static_cast<unsigned>(rows), threads, 0, stream>>>(l, parts, partials, values, static_cast<T*>(out));
}

// Registers hold heads · packs · 8 numbers of queries and as many of sums.
template <class T, int packs, class... Arguments>
void launch_heads(const SingleQueryLayout& l, Arguments... arguments) {
  constexpr int most = packs == 1 ? 8 : packs == 2 ? 4 : 2;
  if (l.n == 1) return launch<T, packs, 1>(l, arguments...);
  if (l.n == 2 || most == 2) return launch<T, packs, 2>(l, arguments...);
  if constexpr (most > 2)
    if (l.n <= 4 || most == 4) return launch<T, packs, 4>(l, arguments...);
  if constexpr (most > 4) launch<T, packs, 8>(l, arguments...);
}

}  // namespace

int64_t single_query_part(int64_t B, int64_t G, int64_t S, int multiprocessors) {
  // About four blocks for each multiprocessor, and not under 64 tokens for each block.
  const int64_t wanted = (4 * multiprocessors + B * G - 1) / (B * G);
  const int64_t part = (S + wanted - 1) / wanted;
  return (part < 64 ? 64 : part + kGroups - 1) / kGroups * kGroups;
}

int64_t single_query_workspace(const SingleQueryLayout& l) {
  return l.B * l.G * l.n * ((l.S + l.part - 1) / l.part) * (2 + l.value_width);
}

cudaError_t single_query(Format format, const SingleQueryLayout& l, const void* q, const void* k, const void* v,
                         const bool* mask, void* out, float* workspace, cudaStream_t stream) {
  const int64_t width = l.key_width > l.value_width ? l.key_width : l.value_width;
  const int packs = static_cast<int>((width + kPack * kLanes - 1) / (kPack * kLanes));
  if (l.key_width % kPack != 0 || l.value_width % kPack != 0 || packs > 4) return cudaErrorInvalidValue;
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (packs == 1)
      launch_heads<T, 1>(l, q, k, v, mask, out, workspace, stream);
    else if (packs == 2)
      launch_heads<T, 2>(l, q, k, v, mask, out, workspace, stream);
    else if (packs == 3)
      launch_heads<T, 3>(l, q, k, v, mask, out, workspace, stream);
    else
      launch_heads<T, 4>(l, q, k, v, mask, out, workspace, stream);
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
