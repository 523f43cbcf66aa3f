// What RWKV's layers compute from their projections before and behind the recurrence, head by head of 64
// numbers, and the gradients. A thread goes over the rows of a run with four channels (short_conv.cuh); the 16
// threads of a head stand side by side and add up what is summed over it.
#pragma once

#include "kernels/rwkv_layout.h"
#include "kernels/short_conv.cuh"

namespace attnlab::cuda::heads {

using conv::kPack;
using conv::kThreads;
using conv::Run;
using conv::Sizes;  // B = 1, T rows of C channels

constexpr int kHead = kWkvHead, kLanes = kHead / kPack;
constexpr float kFastest = -0.60653065971263342f;  // -e^-½, RWKV-7's strongest log decay
constexpr float kLeastNorm = 1e-12f;

using Four = float[kPack];

__device__ inline float sum_of_head(float x) {
  const unsigned head = 0xffffu << (threadIdx.x & 16u);
#pragma unroll
  for (int apart = kLanes / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(head, x, apart);
  return x;
}

__device__ inline float dot(const Four& x, const Four& y) {
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kPack; ++c) sum += x[c] * y[c];
  return sum;
}

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

template <int n>
__device__ inline void read_vectors(const float* all, const Sizes& z, const Run& run, float (&out)[n][kPack]) {
#pragma unroll
  for (int i = 0; i < n; ++i) read(all + i * z.C + run.channel, out[i]);
}

// Sums over a run's rows, [runs, n, C].
template <int n>
__device__ inline void write_sums(const float (&sums)[n][kPack], const Sizes& z, const Run& run,
                                  float* partial) {
#pragma unroll
  for (int i = 0; i < n; ++i) write(partial + (run.row * n + i) * z.C + run.channel, sums[i]);
}

// RWKV-7's inputs of its recurrence: w = -e^-½ σ(w₀ + w'), α = σ(a₀ + a'), κ = k' ⊙ k_k of norm 1 by head,
// a = -κ, b = κ ⊙ α, k = k' ⊙ (1 + (α - 1) k_a).
enum { kW0, kA0, kKk, kKa, kKeyVectors };
template <class T>
struct Keys {
  const T *k, *w, *a;    // k', w', a'
  const float* vectors;  // w₀, a₀, k_k, k_a: [4, C]
};
using Prepared = Wkv7Prepared;

// Of a row, four channels.
struct KeyRow {
  float own[kPack], sigma[kPack], alpha[kPack], kappa[kPack], norm;

  template <class T>
  __device__ KeyRow(const Keys<T>& in, const float (&of)[kKeyVectors][kPack], int64_t at) {
    read(in.k + at, own), read(in.w + at, sigma), read(in.a + at, alpha);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      sigma[c] = sigmoid(of[kW0][c] + sigma[c]), alpha[c] = sigmoid(of[kA0][c] + alpha[c]);
      kappa[c] = own[c] * of[kKk][c];
    }
    norm = sqrtf(sum_of_head(dot(kappa, kappa)));
    const float scale = 1 / fmaxf(norm, kLeastNorm);
#pragma unroll
    for (int c = 0; c < kPack; ++c) kappa[c] *= scale;
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads) prepare(Sizes z, Keys<T> in, Prepared out) {
  const Run run(z);
  if (!run.active) return;
  float of[kKeyVectors][kPack];
  read_vectors(in.vectors, z, run, of);
  for (int64_t t = run.first; t < run.end; ++t) {
    const int64_t at = run.at(z, t);
    const KeyRow row(in, of, at);
    float w[kPack], k[kPack], a[kPack], b[kPack];
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      w[c] = kFastest * row.sigma[c];
      k[c] = row.own[c] * (1 + (row.alpha[c] - 1) * of[kKa][c]);
      a[c] = -row.kappa[c], b[c] = row.kappa[c] * row.alpha[c];
    }
    write(out.w + at, w), write(out.k + at, k), write(out.a + at, a), write(out.b + at, b);
  }
}

// d: the gradients of w, k, a, b. partial [runs, 4, C]: of the vectors.
template <class T>
__global__ void __launch_bounds__(kThreads)
    prepare_backward(Sizes z, Keys<T> in, Prepared d, T* dk_in, T* dw_in, T* da_in, float* partial) {
  const Run run(z);
  if (!run.active) return;
  float of[kKeyVectors][kPack], sums[kKeyVectors][kPack] = {};
  read_vectors(in.vectors, z, run, of);
  for (int64_t t = run.first; t < run.end; ++t) {
    const int64_t at = run.at(z, t);
    const KeyRow row(in, of, at);
    float dw[kPack], dk[kPack], da[kPack], db[kPack], dkappa[kPack];
    read(d.w + at, dw), read(d.k + at, dk), read(d.a + at, da), read(d.b + at, db);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      dkappa[c] = db[c] * row.alpha[c] - da[c];
      dw[c] *= kFastest * row.sigma[c] * (1 - row.sigma[c]);
      da[c] = (db[c] * row.kappa[c] + dk[c] * row.own[c] * of[kKa][c]) * row.alpha[c] * (1 - row.alpha[c]);
    }
    const float sum = sum_of_head(dot(row.kappa, dkappa)), along = row.norm > kLeastNorm ? sum : 0;
    const float scale = 1 / fmaxf(row.norm, kLeastNorm);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      const float dscaled = (dkappa[c] - row.kappa[c] * along) * scale;
      sums[kW0][c] += dw[c], sums[kA0][c] += da[c];
      sums[kKk][c] += dscaled * row.own[c];
      sums[kKa][c] += dk[c] * row.own[c] * (row.alpha[c] - 1);
      dk[c] = dk[c] * (1 + (row.alpha[c] - 1) * of[kKa][c]) + dscaled * of[kKk][c];
    }
    write(dk_in + at, dk), write(dw_in + at, dw), write(da_in + at, da);
  }
  write_sums(sums, z, run, partial);
}

// RWKV-6's log decay w = -exp(w₀ + w'), whose gradient is w dw.
template <class T>
__device__ inline void read_decay(const T* lora, const Four& w0, int64_t at, Four& w) {
  read(lora + at, w);
#pragma unroll
  for (int c = 0; c < kPack; ++c) w[c] = -expf(w0[c] + w[c]);
}

template <class T>
__global__ void __launch_bounds__(kThreads) decay(Sizes z, const T* lora, const float* w0, float* out) {
  const Run run(z);
  if (!run.active) return;
  float of[1][kPack], w[kPack];
  read_vectors(w0, z, run, of);
  for (int64_t t = run.first; t < run.end; ++t) {
    read_decay(lora, of[0], run.at(z, t), w);
    write(out + run.at(z, t), w);
  }
}

// partial [runs, C]: of w₀.
template <class T>
__global__ void __launch_bounds__(kThreads)
    decay_backward(Sizes z, const T* lora, const float* w0, const float* dw, T* dlora, float* partial) {
  const Run run(z);
  if (!run.active) return;
  float of[1][kPack], sums[1][kPack] = {}, w[kPack], d[kPack];
  read_vectors(w0, z, run, of);
  for (int64_t t = run.first; t < run.end; ++t) {
    read_decay(lora, of[0], run.at(z, t), w);
    read(dw + run.at(z, t), d);
#pragma unroll
    for (int c = 0; c < kPack; ++c) d[c] *= w[c], sums[0][c] += d[c];
    write(dlora + run.at(z, t), d);
  }
  write_sums(sums, z, run, partial);
}

// Behind the recurrence: RWKV-7's (norm(o) + (Σ_head r k r_k) v) ⊙ gate where r is given, RWKV-6's norm(o) ⊙
// silu(gate) else; norm by head, with weight and bias.
enum { kWeight, kBias, kRk, kOutVectors };
template <class T>
struct Outputs {
  const float *o, *k;  // k with r
  const T *r, *v, *gate;
  const float* vectors;  // weight, bias, r_k: [3, C], or without r_k [2, C]
  float eps;
};
template <class T>
struct OutputGradients {
  float *o, *k;
  T *r, *v, *gate;
};

// Of a row, four channels: `out` in front of the gate.
template <bool bonus>
struct OutRow {
  static constexpr int kVectors = bonus ? kOutVectors : kRk;
  float unit[kPack], scale, out[kPack], gate[kPack];
  float r[kPack], k[kPack], v[kPack], product;  // with a bonus

  template <class T>
  __device__ OutRow(const Outputs<T>& in, const float (&of)[kVectors][kPack], int64_t at) {
    read(in.o + at, unit), read(in.gate + at, gate);
    float sum = 0;
#pragma unroll
    for (int c = 0; c < kPack; ++c) sum += unit[c];
    const float mean = sum_of_head(sum) / kHead;
#pragma unroll
    for (int c = 0; c < kPack; ++c) unit[c] -= mean;
    scale = 1 / sqrtf(sum_of_head(dot(unit, unit)) / kHead + in.eps);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      unit[c] *= scale;
      out[c] = unit[c] * of[kWeight][c] + of[kBias][c];
    }
    if constexpr (bonus) {
      read(in.r + at, r), read(in.k + at, k), read(in.v + at, v);
      product = 0;
#pragma unroll
      for (int c = 0; c < kPack; ++c) product += r[c] * k[c] * of[kRk][c];
      product = sum_of_head(product);
#pragma unroll
      for (int c = 0; c < kPack; ++c) out[c] += product * v[c];
    }
  }
};

template <bool bonus, class T>
__global__ void __launch_bounds__(kThreads) output(Sizes z, Outputs<T> in, T* y) {
  const Run run(z);
  if (!run.active) return;
  float of[OutRow<bonus>::kVectors][kPack];
  read_vectors(in.vectors, z, run, of);
  for (int64_t t = run.first; t < run.end; ++t) {
    const int64_t at = run.at(z, t);
    OutRow<bonus> row(in, of, at);
#pragma unroll
    for (int c = 0; c < kPack; ++c) row.out[c] *= bonus ? row.gate[c] : row.gate[c] * sigmoid(row.gate[c]);
    write(y + at, row.out);
  }
}

// Through the norm: dout becomes do.
template <bool bonus>
__device__ inline void through_norm(const OutRow<bonus>& row, const Four& weight, Four& dout) {
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kPack; ++c) dout[c] *= weight[c], sum += dout[c];
  const float mean = sum_of_head(sum) / kHead, along = sum_of_head(dot(dout, row.unit)) / kHead;
#pragma unroll
  for (int c = 0; c < kPack; ++c) dout[c] = row.scale * (dout[c] - mean - row.unit[c] * along);
}

// partial [runs, 3 or 2, C]: of the vectors.
template <bool bonus, class T>
__global__ void __launch_bounds__(kThreads)
    output_backward(Sizes z, Outputs<T> in, const T* dy, OutputGradients<T> d, float* partial) {
  const Run run(z);
  if (!run.active) return;
  float of[OutRow<bonus>::kVectors][kPack], sums[OutRow<bonus>::kVectors][kPack] = {};
  read_vectors(in.vectors, z, run, of);
  for (int64_t t = run.first; t < run.end; ++t) {
    const int64_t at = run.at(z, t);
    const OutRow<bonus> row(in, of, at);
    float dout[kPack], dgate[kPack];
    read(dy + at, dout);
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      const float s = bonus ? 0 : sigmoid(row.gate[c]);
      dgate[c] = dout[c] * row.out[c] * (bonus ? 1 : s * (1 + row.gate[c] * (1 - s)));
      dout[c] *= bonus ? row.gate[c] : row.gate[c] * s;
      sums[kWeight][c] += dout[c] * row.unit[c], sums[kBias][c] += dout[c];
    }
    write(d.gate + at, dgate);
    if constexpr (bonus) {
      const float dproduct = sum_of_head(dot(dout, row.v));
      float dr[kPack], dk[kPack], dv[kPack];
#pragma unroll
      for (int c = 0; c < kPack; ++c) {
        dv[c] = dout[c] * row.product;
        dr[c] = dproduct * row.k[c] * of[kRk][c], dk[c] = dproduct * row.r[c] * of[kRk][c];
        sums[kRk][c] += dproduct * row.r[c] * row.k[c];
      }
      write(d.r + at, dr), write(d.k + at, dk), write(d.v + at, dv);
    }
    through_norm(row, of[kWeight], dout);
    write(d.o + at, dout);
  }
  write_sums(sums, z, run, partial);
}

}  // namespace attnlab::cuda::heads
