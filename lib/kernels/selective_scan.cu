// The recurrence of Mamba (arXiv 2312.00752), h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_t, y_t = Σ_s C_ts h_ts, with
// h in registers: of a channel's S numbers a thread has 8, and `lanes` threads have them all. One step after
// the other in time; the backward pass has h of every 8th token and computes those between anew.
#include <type_traits>

#include "kernels/cuda_kernels.h"

namespace attnlab::cuda {
namespace {

constexpr int kThreads = 256, kStates = 8, kApart = static_cast<int>(kScanApart);
constexpr unsigned kAll = 0xffffffffu;

// Where a thread's channel and numbers lie. All threads of a warp go through all steps, as they exchange sums.
template <int lanes>
struct Place {
  const ScanSizes& z;
  int lane;
  int64_t row, p, channel, n, b;
  bool active;

  __device__ explicit Place(const ScanSizes& sizes) : z(sizes), lane(static_cast<int>(threadIdx.x) % lanes) {
    channel = static_cast<int64_t>(blockIdx.x) * (kThreads / lanes) + threadIdx.x / lanes;
    active = channel < z.rows * z.P;
    if (!active) channel = 0;
    row = channel / z.P, p = channel % z.P;
    n = row / z.parts % z.N, b = row / z.parts / z.N;
  }
  __device__ int64_t number(int i) const { return lane + static_cast<int64_t>(lanes) * i; }
  __device__ bool has(int i) const { return active && number(i) < z.S; }
  __device__ int64_t of_A(int i) const { return (n * z.P + p) * z.S + number(i); }
  __device__ int64_t of_state(int i) const { return channel * z.S + number(i); }
  __device__ int64_t of_stored(int64_t chunk, int i) const {
    return ((row * z.stored() + chunk) * z.P + p) * z.S + number(i);
  }
  __device__ int64_t of_channel(int64_t t) const { return (row * z.T + t) * z.P + p; }
  __device__ int64_t of_number(int64_t t, int i) const { return (row * z.T + t) * z.S + number(i); }
  // A document begins: nothing of before is seen.
  __device__ bool begins(const bool* at, int64_t t) const {
    return at && at[(b * z.parts + row % z.parts) * z.T + t];
  }
};

template <int lanes>
__device__ inline float sum_of_lanes(float x) {
#pragma unroll
  for (int apart = lanes / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(kAll, x, apart);
  return x;
}

// Over the channels of a warp, of which each thread has the same numbers.
template <int lanes>
__device__ inline float sum_of_channels(float x) {
#pragma unroll
  for (int apart = lanes; apart < 32; apart *= 2) x += __shfl_xor_sync(kAll, x, apart);
  return x;
}

template <int lanes>
__global__ void scan_forward(ScanSizes z, ScanInputs in, float* y, float* stored, float* last) {
  const Place<lanes> place(z);
  float A[kStates], h[kStates];
#pragma unroll
  for (int i = 0; i < kStates; ++i) {
    A[i] = place.has(i) ? in.A[place.of_A(i)] : 0;
    h[i] = place.has(i) && in.first ? in.first[place.of_state(i)] : 0;
  }
  for (int64_t t = 0; t < z.T; ++t) {
    if (stored && t % kApart == 0)
#pragma unroll
      for (int i = 0; i < kStates; ++i)
        if (place.has(i)) stored[place.of_stored(t / kApart, i)] = h[i];
    const float step = in.step[place.of_channel(t)], written = step * in.x[place.of_channel(t)];
    const bool begins = place.begins(in.begins, t);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kStates; ++i) {
      const float b = place.has(i) ? in.B[place.of_number(t, i)] : 0;
      h[i] = (begins ? 0 : expf(step * A[i]) * h[i]) + written * b;
      if (y && place.has(i)) sum += h[i] * in.C[place.of_number(t, i)];
    }
    if (!y) continue;
    sum = sum_of_lanes<lanes>(sum);
    if (place.active && place.lane == 0) y[place.of_channel(t)] = sum;
  }
#pragma unroll
  for (int i = 0; i < kStates; ++i)
    if (place.has(i)) last[place.of_state(i)] = h[i];
}

// The states of a chunk from the one before it: h[j] before its token j.
template <int lanes>
__device__ __forceinline__ void states_again(const ScanSizes& z, const ScanInputs& in,
                                             const Place<lanes>& place, const float* stored, int64_t chunk,
                                             const float (&A)[kStates], float (&h)[kApart + 1][kStates]) {
#pragma unroll
  for (int i = 0; i < kStates; ++i) h[0][i] = place.has(i) ? stored[place.of_stored(chunk, i)] : 0;
#pragma unroll
  for (int j = 0; j < kApart; ++j) {
    const int64_t t = chunk * kApart + j;
    if (t >= z.T) continue;
    const float step = in.step[place.of_channel(t)], written = step * in.x[place.of_channel(t)];
    const bool begins = place.begins(in.begins, t);
#pragma unroll
    for (int i = 0; i < kStates; ++i)
      h[j + 1][i] = (begins ? 0 : expf(step * A[i]) * h[j][i]) +
                    written * (place.has(i) ? in.B[place.of_number(t, i)] : 0);
  }
}

// g is the gradient of h, which grows by C_t dy_t and passes a token as h does, by exp(Δ_t A).
template <int lanes>
__global__ void scan_backward(ScanSizes z, ScanInputs in, const float* stored, const float* dy,
                              const float* dlast, ScanGradients out) {
  const Place<lanes> place(z);
  const bool one_row = z.P % (32 / lanes) == 0;  // the channels of a warp share B and C
  float A[kStates], g[kStates], dA[kStates];
#pragma unroll
  for (int i = 0; i < kStates; ++i) {
    A[i] = place.has(i) ? in.A[place.of_A(i)] : 0;
    g[i] = place.has(i) && dlast ? dlast[place.of_state(i)] : 0;
    dA[i] = 0;
  }
  const auto add_to = [&](float* to, float value, int64_t t, int i) {
    const float sum = one_row ? sum_of_channels<lanes>(value) : value;
    const bool writes = place.has(i) && (!one_row || threadIdx.x % 32 < lanes);
    if (writes) atomicAdd(to + place.of_number(t, i), sum);
  };
  for (int64_t chunk = z.stored() - 1; chunk >= 0; --chunk) {
    const int64_t begin = chunk * kApart;
    float h[kApart + 1][kStates];  // before each token, and behind the last
    states_again(z, in, place, stored, chunk, A, h);
#pragma unroll
    for (int j = kApart - 1; j >= 0; --j) {
      const int64_t t = begin + j;
      if (t >= z.T) continue;
      const float step = in.step[place.of_channel(t)], x = in.x[place.of_channel(t)];
      const float d = dy && place.active ? dy[place.of_channel(t)] : 0;
      const bool begins = place.begins(in.begins, t);
      float of_write = 0, of_decay = 0;
#pragma unroll
      for (int i = 0; i < kStates; ++i) {
        const float b = place.has(i) ? in.B[place.of_number(t, i)] : 0;
        if (dy) {
          g[i] += place.has(i) ? d * in.C[place.of_number(t, i)] : 0;
          add_to(out.C, d * h[j + 1][i], t, i);
        }
        add_to(out.B, place.active ? g[i] * step * x : 0, t, i);
        of_write += g[i] * b;
        g[i] = begins ? 0 : g[i] * expf(step * A[i]);
        of_decay += g[i] * h[j][i] * A[i];
        dA[i] += g[i] * h[j][i] * step;
      }
      of_write = sum_of_lanes<lanes>(of_write);
      of_decay = sum_of_lanes<lanes>(of_decay);
      if (place.active && place.lane == 0) {
        out.x[place.of_channel(t)] = step * of_write;
        out.step[place.of_channel(t)] = x * of_write + of_decay;
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kStates; ++i) {
    if (!place.has(i)) continue;
    if (out.first) out.first[place.of_state(i)] = g[i];
    atomicAdd(out.A + place.of_A(i), dA[i]);
  }
}

// launch(lanes): as many threads of a channel as its numbers need, a power of 2.
template <class Launch>
void with_lanes(int64_t S, const Launch& launch) {
  if (S <= kStates) return launch(std::integral_constant<int, 1>{});
  if (S <= 2 * kStates) return launch(std::integral_constant<int, 2>{});
  if (S <= 4 * kStates) return launch(std::integral_constant<int, 4>{});
  if (S <= 8 * kStates) return launch(std::integral_constant<int, 8>{});
  if (S <= 16 * kStates) return launch(std::integral_constant<int, 16>{});
  launch(std::integral_constant<int, 32>{});
}

unsigned blocks_of(const ScanSizes& z, int lanes) {
  const int64_t channels = kThreads / lanes;
  return static_cast<unsigned>((z.rows * z.P + channels - 1) / channels);
}

}  // namespace

cudaError_t selective_scan(const ScanSizes& sizes, const ScanInputs& in, float* y, float* stored, float* last,
                           cudaStream_t stream) {
  with_lanes(sizes.S, [&](auto lanes) {
    scan_forward<lanes><<<blocks_of(sizes, lanes), kThreads, 0, stream>>>(sizes, in, y, stored, last);
  });
  return cudaGetLastError();
}

cudaError_t selective_scan_backward(const ScanSizes& sizes, const ScanInputs& in, const float* stored,
                                    const float* dy, const float* dlast, const ScanGradients& out,
                                    cudaStream_t stream) {
  with_lanes(sizes.S, [&](auto lanes) {
    scan_backward<lanes><<<blocks_of(sizes, lanes), kThreads, 0, stream>>>(sizes, in, stored, dy, dlast, out);
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
