// RWKV's token shift, x_y = x + (x̄ - x) ⊙ (μ_y + m_y) for n mixes y at once, x̄ the token before, and its
// gradients. A thread goes over the tokens of a run with four channels (short_conv.cuh), x̄ in registers.
#pragma once

#include "kernels/short_conv.cuh"

namespace attnlab::cuda::mix {

using conv::kPack;
using conv::kThreads;
using conv::Run;
using conv::Sizes;

template <class T>
struct Inputs {
  const T* x;       // [B, T, C]
  const float* mu;  // [n, C]
  const T* m;       // [n, B, T, C]; null: 0
  const bool* begins;
};

// One pointer for each mix.
template <int n, class T>
struct Each {
  T* of[n];
};

template <int n>
__device__ inline void read_mu(const float* mu, const Sizes& z, const Run& run, float (&out)[n][kPack]) {
#pragma unroll
  for (int y = 0; y < n; ++y) read(mu + y * z.C + run.channel, out[y]);
}

// μ_y + m_y of a token.
template <class T>
__device__ inline void read_share(const Inputs<T>& in, const Sizes& z, int y, int64_t at,
                                  const float (&mu)[kPack], float (&out)[kPack]) {
  float own[kPack] = {};
  if (in.m) read(in.m + y * z.B * z.T * z.C + at, own);
#pragma unroll
  for (int c = 0; c < kPack; ++c) out[c] = mu[c] + own[c];
}

// The token before t, 0 in front of the document.
template <class T>
__device__ inline void read_before(const Inputs<T>& in, const Sizes& z, const Run& run, int64_t t,
                                   float (&out)[kPack]) {
#pragma unroll
  for (int c = 0; c < kPack; ++c) out[c] = 0;
  if (t > 0 && !run.begins(z, in.begins, t)) read(in.x + run.at(z, t - 1), out);
}

template <int n, class T>
__global__ void __launch_bounds__(kThreads) forward(Sizes z, Inputs<T> in, Each<n, T> out) {
  const Run run(z);
  if (!run.active) return;
  float mu[n][kPack], x[kPack], before[kPack];
  read_mu(in.mu, z, run, mu);
#pragma unroll 2
  for (int64_t t = run.first; t < run.end; ++t) {
    const int64_t at = run.at(z, t);
    read(in.x + at, x);
    read_before(in, z, run, t, before);
#pragma unroll
    for (int y = 0; y < n; ++y) {
      float share[kPack];
      read_share(in, z, y, at, mu[y], share);
#pragma unroll
      for (int c = 0; c < kPack; ++c) share[c] = x[c] + (before[c] - x[c]) * share[c];
      write(out.of[y] + at, share);
    }
  }
}

// dx_t = Σ_y dx_y,t (1 - share_y,t) + Σ_y dx_y,t+1 share_y,t+1, dm_y = dx_y (x̄ - x), and its sum over each
// run's tokens in `partial` [B · runs, n, C].
template <int n, class T>
__global__ void __launch_bounds__(kThreads)
    backward(Sizes z, Inputs<T> in, Each<n, const T> upstream, T* dx, T* dm, float* partial) {
  const Run run(z);
  if (!run.active) return;
  float mu[n][kPack], sums[n][kPack] = {}, behind[kPack] = {};  // behind: what the next token leaves
  read_mu(in.mu, z, run, mu);
  for (int64_t t = run.end < z.T ? run.end : run.end - 1; t >= run.first; --t) {
    const int64_t at = run.at(z, t);
    const bool own = t < run.end;
    float x[kPack], before[kPack], of_before[kPack] = {}, of_x[kPack] = {};
    read(in.x + at, x);
    read_before(in, z, run, t, before);
#pragma unroll
    for (int y = 0; y < n; ++y) {
      float d[kPack], share[kPack], product[kPack];
      read(upstream.of[y] + at, d);
      read_share(in, z, y, at, mu[y], share);
#pragma unroll
      for (int c = 0; c < kPack; ++c) {
        of_before[c] += d[c] * share[c];
        of_x[c] += d[c] - d[c] * share[c];
        product[c] = d[c] * (before[c] - x[c]);
        if (own) sums[y][c] += product[c];
      }
      if (own && dm) write(dm + y * z.B * z.T * z.C + at, product);
    }
    const bool forgets = run.begins(z, in.begins, t);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      of_x[c] += behind[c];
      behind[c] = forgets ? 0 : of_before[c];
    }
    if (own) write(dx + at, of_x);
  }
#pragma unroll
  for (int y = 0; y < n; ++y) write(partial + (run.row * n + y) * z.C + run.channel, sums[y]);
}

}  // namespace attnlab::cuda::mix
