#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/rotary_pairs.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kThreads = 256;

// One thread turns n pairs of one head. Numbers behind rotary_dim pass: the first threads of a head's n pairs
// copy them.
template <class T, class Table, int n>
__device__ inline void turn(const RotaryLayout& l, const T* x, const Table* cos, const Table* sin, T* out,
                            int64_t index) {
  const int64_t half = l.rotary_dim / 2, per_head = half / n;
  const int64_t j = index % per_head * n, head = index / per_head;
  const int64_t N = head % l.N, t = head / l.N % l.T, b = head / l.N / l.T;
  const T* from = x + b * l.in.b + N * l.in.n + t * l.in.t;
  T* to = out + (l.out_rows ? l.out_rows[b] : b) * l.out.b + N * l.out.n + t * l.out.t;
  const int64_t table = b * l.table_b + t * l.table_t + j;
  float x1[n], x2[n];
  read_pairs(from, l.in_pairs, half, j, x1, x2);
  turn_pairs(cos + table, sin + table, l.backwards, x1, x2);
  write_pairs(to, l.out_pairs, half, j, x1, x2);
  for (int64_t k = l.rotary_dim + j / n; k < l.head_dim; k += per_head) to[k] = from[k];
}

// Threads of the first job, then of the second.
template <class T, class Table, int n>
__global__ void turn_two(RotaryLayout first, RotaryLayout second, const T* x1, const T* x2, const Table* cos,
                         const Table* sin, T* out1, T* out2, int64_t threads1, int64_t threads2) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (index < threads1)
    turn<T, Table, n>(first, x1, cos, sin, out1, index);
  else if (index < threads1 + threads2)
    turn<T, Table, n>(second, x2, cos, sin, out2, index - threads1);
}

int64_t pairs_of(const RotaryJob& job) {
  const RotaryLayout& l = job.layout;
  return l.B * l.N * l.T * (l.rotary_dim / 2);
}

bool multiple_of(int64_t n, const RotaryLayout& l) {
  for (const int64_t number :
       {l.rotary_dim / 2, l.in.b, l.in.n, l.in.t, l.out.b, l.out.n, l.out.t, l.table_b, l.table_t})
    if (number % n != 0) return false;
  return true;
}

bool aligned(const void* pointer, size_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

}  // namespace

cudaError_t rotate(Format format, Format tables, const RotaryJob& first, const RotaryJob& second,
                   const void* cos, const void* sin, cudaStream_t stream) {
  const int64_t pairs1 = pairs_of(first), pairs2 = pairs_of(second);
  if (pairs1 + pairs2 == 0) return cudaSuccess;
  constexpr int wide = 4;  // float32: 16 bytes in one access
  const auto in_packs = [](const RotaryJob& job) {
    return pairs_of(job) == 0 || (multiple_of(wide, job.layout) && aligned(job.x, 16) && aligned(job.out, 16));
  };
  const bool packs = in_packs(first) && in_packs(second) && aligned(cos, 16) && aligned(sin, 16);
  with_type(format, [&](auto* type) {
    with_type(tables, [&](auto* table_type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using Table = std::remove_pointer_t<decltype(table_type)>;
      const auto launch = [&](auto n) {
        const int64_t threads1 = pairs1 / n, threads2 = pairs2 / n;
        const auto blocks = static_cast<unsigned>((threads1 + threads2 + kThreads - 1) / kThreads);
        turn_two<T, Table, n><<<blocks, kThreads, 0, stream>>>(
            first.layout, second.layout, static_cast<const T*>(first.x), static_cast<const T*>(second.x),
            static_cast<const Table*>(cos), static_cast<const Table*>(sin), static_cast<T*>(first.out),
            static_cast<T*>(second.out), threads1, threads2);
      };
      if (packs)
        launch(std::integral_constant<int, wide>{});
      else
        launch(std::integral_constant<int, 1>{});
    });
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
