// The recurrence of Mamba (arXiv 2312.00752), h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_t, y_t = Σ_s C_ts h_ts + D
// x_t, token by token with h in registers. A thread has some numbers of some channels, so that sums over
// numbers (y) and over channels (the gradients of B and C) are half done in a thread; threads of a warp share
// the rest of the work, and a block has the inputs of a stage of tokens in shared memory.
//
// The backward pass begins a stage with the state that was kept in front of it, goes over its tokens, putting
// every kHeld-th state down, and from the last to the first computes kHeld tokens' states again, now in
// registers, with their decays. g is the gradient of h: it grows by C_t dy_t and passes a token as h does.
#pragma once

#include <cmath>

#include "kernels/selective_tiles.cuh"

namespace attnlab::cuda::selective {

__device__ inline float exp2_of(float x) {
#ifdef __CUDACC__
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
  return out;
#else
  return std::exp2(x);
#endif
}

// Sums over the threads that differ in the bits of a thread's number from `apart` down to `to`. With m of them,
// each passes on what is not on its half's side, and the i-th in their order ends with those of the n sums from
// i · n / m on in front; where m > n, so do its neighbours.
template <int apart, int to, int half, int n>
__device__ __forceinline__ void share_sums(float (&x)[n]) {
  if constexpr (apart >= to) {
    if constexpr (half > 0) {
      const bool upper = (threadIdx.x & apart) != 0;
#pragma unroll
      for (int j = 0; j < half; ++j) {
        const float kept = upper ? x[j + half] : x[j], passed = upper ? x[j] : x[j + half];
        x[j] = kept + __shfl_xor_sync(kAll, passed, apart);
      }
    } else {
      x[0] += __shfl_xor_sync(kAll, x[0], apart);
    }
    share_sums<apart / 2, to, half / 2>(x);
  }
}

// Of n sums over the numbers of a thread's channels, action(i, sum) in one of the threads.
template <class F, int n, class Action>
__device__ __forceinline__ void sum_numbers(float (&x)[n], const Place<F>& place, const Action& action) {
  share_sums<kWarp / 2, F::kGroups, n / 2>(x);
  constexpr int each_has = n > F::kLanes ? n / F::kLanes : 1, alike = n > F::kLanes ? 1 : F::kLanes / n;
  if (place.lane % alike != 0) return;
#pragma unroll
  for (int j = 0; j < each_has; ++j) action(place.lane / alike * each_has + j, x[j]);
}

// Whether a document begins at one of n tokens.
template <int n, class F>
__device__ __forceinline__ bool any_starts(const ScanInputs& in, const Tiles<F>& tiles, int from) {
  if (!in.begins) return false;
  bool any = false;
#pragma unroll
  for (int j = 0; j < n; ++j) any = any || tiles.starts[from + j];
  return any;
}

template <class F>
__device__ inline void clear(typename F::Own& x) {
  each<F>([&](int c, int s) { x[c][s] = 0; });
}

// h behind n tokens; sums: of each token and channel, Σ h C of a thread's numbers.
template <int n, bool wants_y, bool documents, class F>
__device__ __forceinline__ void walk(const Tiles<F>& tiles, const Place<F>& place, int from,
                                     const typename F::Own& A, typename F::Own& h,
                                     float (&sums)[n * F::kChannels]) {
#pragma unroll
  for (int j = 0; j < n; ++j) {
    const int t = from + j;
    float step[F::kChannels], written[F::kChannels], B[F::kNumbers], C[F::kNumbers];
    read_channels(tiles, place, t, kStep, step);
    read_channels(tiles, place, t, kWritten, written);
    read_own<F>(tiles.B[t], place, B);
    if (wants_y) read_own<F>(tiles.C[t], place, C);
    if (documents && tiles.starts[t]) clear<F>(h);
    each<F>([&](int c, int s) {
      h[c][s] = exp2_of(step[c] * A[c][s]) * h[c][s] + written[c] * B[s];
      if (wants_y) sums[j * F::kChannels + c] += h[c][s] * C[s];
    });
  }
}

template <class F>
__device__ inline void read_decays(const ScanInputs& in, const Place<F>& place, typename F::Own& A) {
  read_states(in.A, place, place.n, A);
  each<F>([&](int c, int s) { A[c][s] *= kLog2e; });
}
// Of the channel whose results a thread writes.
template <class F>
__device__ inline float read_skip(const ScanInputs& in, const Place<F>& place) {
  const int channel = Rows<F::kBlock>::column();
  return in.D && channel < place.channels ? in.D[place.n * place.z.P + place.first_channel + channel] : 0;
}

template <class F, bool wants_y>
__device__ void forward(const ScanSizes& z, const ScanInputs& in, const ScanResults& out, Tiles<F>& tiles) {
  const Place<F> place(z);
  find_places(place, in, out.y.strides, tiles.at);
  typename F::Own A, h;
  read_decays(in, place, A);
  read_states(in.first, place, place.row, h);
  const float D = read_skip(in, place);
  const HeadsIn no_dy = {};
  Fetched<F, false> fetched;
  __syncthreads();
  fetched.fetch(in, no_dy, place, tiles, 0);
#pragma unroll 1
  for (int stage = 0; stage < place.stages(); ++stage) {
    __syncthreads();
    fetched.put_down(in, no_dy, place, tiles, stage);
    __syncthreads();
    if (stage + 1 < place.stages()) fetched.fetch(in, no_dy, place, tiles, stage + 1);
    if (out.stored) put_state<F>(h, reinterpret_cast<FourOfThread*>(out.stored) + place.of_stored(stage));
#pragma unroll 1
    for (int from = 0; from < kStage && from < place.tokens - stage * kStage; from += kRead) {
      float sums[kRead * F::kChannels] = {};
      if (any_starts<kRead>(in, tiles, from))
        walk<kRead, wants_y, true>(tiles, place, from, A, h, sums);
      else
        walk<kRead, wants_y, false>(tiles, place, from, A, h, sums);
      if (wants_y)
        sum_numbers(sums, place, [&](int i, float sum) {
          tiles.channels[from + i / F::kChannels][kY][place.channel(i % F::kChannels)] = sum;
        });
    }
    if (!wants_y) continue;
    __syncthreads();
    float* const y = static_cast<float*>(out.y.at) + tiles.at[kOfY] + stage * kStage * out.y.strides.t;
    each_result(place, stage, [&](int t, int c) {
      y[t * out.y.strides.t + c] = tiles.channels[t][kY][c] + D * tiles.channels[t][kX][c];
    });
  }
  write_states(out.last, place, place.row, h);
}

// From h in front of the stage to h in front of its last kHeld tokens; those of before are put down.
template <class F>
__device__ __forceinline__ void go_over(const Place<F>& place, const ScanInputs& in, BackwardTiles<F>& tiles,
                                        const typename F::Own& A, typename F::Own& h) {
  float no_sums[kHeld * F::kChannels];
#pragma unroll 1
  for (int turn = 0; turn < kStage / kHeld - 1; ++turn) {
    put_state<F>(h, tiles.states[turn]);
    if (any_starts<kHeld>(in, tiles.in, turn * kHeld))
      walk<kHeld, false, true>(tiles.in, place, turn * kHeld, A, h, no_sums);
    else
      walk<kHeld, false, false>(tiles.in, place, turn * kHeld, A, h, no_sums);
  }
}

// h before each of kHeld tokens and behind them, and the decays between.
template <class F>
struct Held {
  typename F::Own h[kHeld + 1], decay[kHeld];

  __device__ __forceinline__ void compute(const Place<F>& place, const ScanInputs& in, const Tiles<F>& tiles,
                                          int from, const typename F::Own& A) {
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      float step[F::kChannels];
      read_channels(tiles, place, from + j, kStep, step);
      each<F>([&](int c, int s) { decay[j][c][s] = exp2_of(step[c] * A[c][s]); });
    }
    if (any_starts<kHeld>(in, tiles, from))
#pragma unroll
      for (int j = 0; j < kHeld; ++j)
        if (tiles.starts[from + j]) clear<F>(decay[j]);
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      float written[F::kChannels], B[F::kNumbers];
      read_channels(tiles, place, from + j, kWritten, written);
      read_own<F>(tiles.B[from + j], place, B);
      each<F>([&](int c, int s) { h[j + 1][c][s] = decay[j][c][s] * h[j][c][s] + written[c] * B[s]; });
    }
  }
};

// Σ over a warp's channels of a token's dB and dC.
template <class F>
__device__ __forceinline__ void put_numbers(float (&dB_dC)[2 * F::kNumbers], const Place<F>& place,
                                            float (&to)[2][F::kRow]) {
  constexpr int n = 2 * F::kNumbers, each_has = n / F::kGroups;
  share_sums<F::kGroups / 2, 1, n / 2>(dB_dC);
  const int first = place.group % F::kGroups * each_has;
  constexpr int together = each_has < 4 ? each_has : 4;
#pragma unroll
  for (int j = 0; j < each_has; j += together) {
    float numbers[together];
#pragma unroll
    for (int i = 0; i < together; ++i) numbers[i] = dB_dC[j + i];
    write(&to[(first + j) / F::kNumbers][place.number((first + j) % F::kNumbers)], numbers);
  }
}

// The gradients' recurrence over kHeld tokens, from the last to the first.
template <class F>
__device__ __forceinline__ void go_back(const Place<F>& place, const Held<F>& held, BackwardTiles<F>& tiles,
                                        int from, const typename F::Own& A, typename F::Own& g,
                                        typename F::Own& dA) {
  float sums[2 * kHeld * F::kChannels] = {};
#pragma unroll
  for (int j = kHeld - 1; j >= 0; --j) {
    const int t = from + j;
    float step[F::kChannels], written[F::kChannels], dy[F::kChannels], B[F::kNumbers], C[F::kNumbers];
    read_channels(tiles.in, place, t, kStep, step);
    read_channels(tiles.in, place, t, kWritten, written);
    read_channels(tiles.in, place, t, kY, dy);
    read_own<F>(tiles.in.B[t], place, B);
    read_own<F>(tiles.in.C[t], place, C);
    float dB_dC[2 * F::kNumbers] = {};
    each<F>([&](int c, int s) {
      float &of_write = sums[j * F::kChannels + c], &of_decay = sums[(kHeld + j) * F::kChannels + c];
      g[c][s] += dy[c] * C[s];
      dB_dC[s] += g[c][s] * written[c];
      dB_dC[F::kNumbers + s] += dy[c] * held.h[j + 1][c][s];
      of_write += g[c][s] * B[s];
      g[c][s] *= held.decay[j][c][s];
      const float product = g[c][s] * held.h[j][c][s];
      of_decay += product * A[c][s];
      dA[c][s] += product * step[c];
    });
    put_numbers<F>(dB_dC, place, tiles.dB_dC[threadIdx.x / kWarp][t % F::kSummed]);
  }
  sum_numbers(sums, place, [&](int i, float sum) {
    auto& to = i < kHeld * F::kChannels ? tiles.of_write : tiles.of_decay;
    to[from + i / F::kChannels % kHeld][place.channel(i % F::kChannels)] = sum;
  });
}

// Σ over the warps of the dB and dC of kSummed tokens, to memory.
template <class F>
__device__ __forceinline__ void sum_warps(const Place<F>& place, const ScanGradients& out,
                                          const BackwardTiles<F>& tiles, int first_token) {
  constexpr int all = F::kSummed * 2 * F::kWide;
  const int64_t of_token = place.z.N * place.blocks * place.z.S;
#pragma unroll
  for (int e = 0; e < (all + kThreads - 1) / kThreads; ++e) {
    const int i = e * kThreads + static_cast<int>(threadIdx.x), t = i / (2 * F::kWide);
    const int kind = i / F::kWide % 2, s = i % F::kWide;
    if (all % kThreads != 0 && i >= all) continue;
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) sum += tiles.dB_dC[warp][t][kind][s];
    float* const to = kind == 0 ? out.B : out.C;
    if (to && s < place.z.S && first_token + t < place.tokens)
      to[tiles.in.at[kOfNumbers] + (first_token + t) * of_token + s] = sum;
  }
}

// dΔ and dx of a stage; adds to dD.
template <class F>
__device__ __forceinline__ void put_results(const Place<F>& place, const ScanInputs& in,
                                            const ScanGradients& out, const BackwardTiles<F>& tiles, int stage,
                                            float D, float& dD) {
  const auto& channels = tiles.in.channels;
  const int64_t step_t = out.step.strides.t, x_t = out.x.strides.t;
  float* const dstep = static_cast<float*>(out.step.at) + tiles.in.at[kOfDstep] + stage * kStage * step_t;
  float* const dx = static_cast<float*>(out.x.at) + tiles.in.at[kOfDx] + stage * kStage * x_t;
  each_result(place, stage, [&](int t, int c) {
    const float x = channels[t][kX][c], dy = channels[t][kY][c], of_write = tiles.of_write[t][c];
    const float step = channels[t][kStep][c], of_step = x * of_write + kLn2 * tiles.of_decay[t][c];
    // softplus'(u) = σ(u) = 1 - e^{-softplus(u)}
    dstep[t * step_t + c] = in.raw_step ? -expm1f(-step) * of_step : of_step;
    dx[t * x_t + c] = step * of_write + D * dy;
    dD += dy * x;
  });
}

// dD of the threads of a channel, together; `room` is free.
template <class F>
__device__ inline void put_skip(const Place<F>& place, float dD, float* room, float* to) {
  room[threadIdx.x] = dD;
  __syncthreads();
  const int channel = static_cast<int>(threadIdx.x);
  if (channel >= F::kBlock || channel >= place.channels) return;
  float sum = 0;
#pragma unroll
  for (int i = channel; i < kThreads; i += F::kBlock) sum += room[i];
  to[place.row * place.z.P + place.first_channel + channel] = sum;
}

template <class F>
__device__ inline void find_gradients(const Place<F>& place, const ScanGradients& out, int64_t (&at)[kWheres]) {
  if (threadIdx.x != 0) return;
  const auto& z = place.z;
  at[kOfDstep] = place.of_heads(out.step.strides, z.N) + place.first_channel;
  at[kOfDx] = place.of_heads(out.x.strides, z.N) + place.first_channel;
  at[kOfNumbers] = (((place.b * z.T + place.begin) * z.N + place.n) * place.blocks + place.block) * z.S;
}

template <class F>
__device__ void backward(const ScanSizes& z, const ScanInputs& in, const ScanUpstream& upstream,
                         const ScanGradients& out, BackwardTiles<F>& tiles) {
  const Place<F> place(z);
  find_places(place, in, upstream.dy.strides, tiles.in.at);
  find_gradients(place, out, tiles.in.at);
  typename F::Own A, g, dA = {};
  read_decays(in, place, A);
  read_states(upstream.dlast, place, place.row, g);
  const float D = read_skip(in, place);
  float dD = 0;
  __syncthreads();
#pragma unroll 1
  for (int stage = place.stages() - 1; stage >= 0; --stage) {
    Fetched<F, true> fetched;
    Held<F> held;
    fetched.fetch(in, upstream.dy, place, tiles.in, stage);
    take_state<F>(reinterpret_cast<const FourOfThread*>(upstream.stored) + place.of_stored(stage), held.h[0]);
    __syncthreads();
    fetched.put_down(in, upstream.dy, place, tiles.in, stage);
    __syncthreads();
    go_over(place, in, tiles, A, held.h[0]);
#pragma unroll 1
    for (int turn = kStage / kHeld - 1; turn >= 0; --turn) {
      if (turn < kStage / kHeld - 1) take_state<F>(tiles.states[turn], held.h[0]);
      held.compute(place, in, tiles.in, turn * kHeld, A);
      go_back(place, held, tiles, turn * kHeld, A, g, dA);
      if (turn * kHeld % F::kSummed != 0) continue;
      __syncthreads();
      sum_warps(place, out, tiles, stage * kStage + turn * kHeld);
      __syncthreads();
    }
    put_results(place, in, out, tiles, stage, D, dD);
  }
  write_states(out.A, place, place.row, dA);
  if (out.first) write_states(out.first, place, place.row, g);
  if (out.D) put_skip(place, dD, &tiles.dB_dC[0][0][0][0], out.D);
}

// Calls action with a null pointer to the form that S numbers take.
template <class Action>
void with_form(int64_t S, const Action& action) {
  if (S <= 16) return action(static_cast<Form<4, 4, 2>*>(nullptr));
  if (S <= 32) return action(static_cast<Form<8, 4, 2>*>(nullptr));
  if (S <= 64) return action(static_cast<Form<16, 4, 2>*>(nullptr));
  if (S <= 128) return action(static_cast<Form<32, 4, 2>*>(nullptr));
  action(static_cast<Form<32, 8, 1>*>(nullptr));
}

}  // namespace attnlab::cuda::selective
