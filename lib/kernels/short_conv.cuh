// The causal convolution of each channel over the K tokens up to its own, y_t = Σ_j w_j x_{t-K+1+j} + b, and
// its gradients. A thread goes over the tokens of a run with four channels, the last K of them in registers.
#pragma once

#include "kernels/vectors.cuh"

namespace attnlab::cuda::conv {

constexpr int kThreads = 128, kPack = 4;

struct Sizes {
  int64_t B, T, C, run, runs;  // runs: of a sequence, `run` tokens each, the last with what is left
  int64_t begins_b;            // stride of `begins`, [B or 1, T]: a document begins; null: none
};

struct Run {
  int64_t b, channel, first, end, row;  // row: of all runs
  bool active;

  __device__ explicit Run(const Sizes& z) {
    const int64_t packs = z.C / kPack, i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    active = i < packs * z.B * z.runs;
    channel = i % packs * kPack, row = i / packs;
    b = row / z.runs, first = row % z.runs * z.run;
    end = z.T < first + z.run ? z.T : first + z.run;
  }
  __device__ int64_t at(const Sizes& z, int64_t t) const { return (b * z.T + t) * z.C + channel; }
  __device__ bool begins(const Sizes& z, const bool* begins, int64_t t) const {
    return begins && begins[b * z.begins_b + t];
  }
};

// w [C, K] by token: of four channels.
template <int K>
__device__ inline void read_weights(const float* w, int64_t channel, float (&out)[K][kPack]) {
#pragma unroll
  for (int j = 0; j < K; ++j)
#pragma unroll
    for (int c = 0; c < kPack; ++c) out[j][c] = w[(channel + c) * K + j];
}

// x of the K tokens up to t, 0 in front of the document.
template <int K, class T>
__device__ inline void advance(const Sizes& z, const Run& run, const T* x, const bool* begins, int64_t t,
                               float (&window)[K][kPack]) {
  const bool forgets = t >= 0 && run.begins(z, begins, t);
#pragma unroll
  for (int j = 0; j + 1 < K; ++j)
#pragma unroll
    for (int c = 0; c < kPack; ++c) window[j][c] = forgets ? 0 : window[j + 1][c];
  if (t >= 0) read(x + run.at(z, t), window[K - 1]);
}

template <int K, class T>
__global__ void forward(Sizes z, const T* x, const float* w, const float* bias, const bool* begins, float* y) {
  const Run run(z);
  if (!run.active) return;
  float weights[K][kPack], window[K][kPack] = {}, b[kPack] = {};
  read_weights(w, run.channel, weights);
  if (bias) read(bias + run.channel, b);
  for (int64_t t = run.first - K + 1; t < run.end; ++t) {
    advance(z, run, x, begins, t, window);
    if (t < run.first) continue;
    float sums[kPack];
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      sums[c] = b[c];
#pragma unroll
      for (int j = 0; j < K; ++j) sums[c] += weights[j][c] * window[j][c];
    }
    write(y + run.at(z, t), sums);
  }
}

// dx_t = Σ_m w_{K-1-m} dy_{t+m}, of tokens before the next document.
template <int K, class T>
__global__ void backward_inputs(Sizes z, const float* w, const float* dy, const bool* begins, T* dx) {
  const Run run(z);
  if (!run.active) return;
  float weights[K][kPack], window[K][kPack] = {};  // dy of t and behind
  read_weights(w, run.channel, weights);
  const int64_t last = run.end + K - 2 < z.T ? run.end + K - 2 : z.T - 1;
  for (int64_t t = last; t >= run.first; --t) {
    const bool ends = t + 1 < z.T && run.begins(z, begins, t + 1);
#pragma unroll
    for (int m = K - 1; m > 0; --m)
#pragma unroll
      for (int c = 0; c < kPack; ++c) window[m][c] = ends ? 0 : window[m - 1][c];
    read(dy + run.at(z, t), window[0]);
    if (t >= run.end) continue;
    float sums[kPack] = {};
#pragma unroll
    for (int c = 0; c < kPack; ++c)
#pragma unroll
      for (int m = 0; m < K; ++m) sums[c] += weights[K - 1 - m][c] * window[m][c];
    write(dx + run.at(z, t), sums);
  }
}

// Of each run what it adds to the gradients of w and b: [B · runs, K + 1, C].
template <int K, class T>
__global__ void backward_weights(Sizes z, const T* x, const float* dy, const bool* begins, float* partial) {
  const Run run(z);
  if (!run.active) return;
  float window[K][kPack] = {}, sums[K + 1][kPack] = {};
  for (int64_t t = run.first - K + 1; t < run.end; ++t) {
    advance(z, run, x, begins, t, window);
    if (t < run.first) continue;
    float d[kPack];
    read(dy + run.at(z, t), d);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
#pragma unroll
      for (int j = 0; j < K; ++j) sums[j][c] += d[c] * window[j][c];
      sums[K][c] += d[c];
    }
  }
#pragma unroll
  for (int j = 0; j <= K; ++j) write(partial + (run.row * (K + 1) + j) * z.C + run.channel, sums[j]);
}

}  // namespace attnlab::cuda::conv
