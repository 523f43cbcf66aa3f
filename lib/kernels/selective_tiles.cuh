// What the kernel of Mamba's recurrence (selective_scan.cuh) works with: which numbers of which channels a
// thread has, what a block has of a stage of tokens in shared memory, and how it comes there. Behind the last
// token, channel or number are zeros: they change nothing that is written.
#pragma once

#include <cmath>

#include "kernels/scan_layout.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda::selective {

constexpr int kThreads = kScanThreads, kWarp = 32, kWarps = kThreads / kWarp, kStage = kScanStage;
constexpr int kRead = 4;  // tokens whose outputs are summed together
constexpr int kHeld = 2;
constexpr unsigned kAll = 0xffffffffu;
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// `lanes` threads have a channel, `numbers` of it and as many of `channels` next to each other.
template <int lanes, int numbers, int channels>
struct Form {
  static constexpr int kLanes = lanes, kNumbers = numbers, kChannels = channels;
  static constexpr int kGroups = kWarp / lanes;                 // of a warp
  static constexpr int kWide = lanes * numbers;                 // numbers, filled up
  static constexpr int kBlock = kThreads / lanes * channels;    // channels
  static constexpr int kRow = kWide > 16 ? kWide + 16 : kWide;  // so that dB and dC are in other banks
  static constexpr int kSummed = kWide <= 64 ? 4 : 2;           // tokens whose dB, dC are summed together
  static_assert(numbers * channels == 8 && kThreads % kBlock == 0 && kSummed % kHeld == 0);
  using Own = float[channels][numbers];
};

// Of each channel and token: Δ, Δ x, x, and dy (in the forward pass y).
enum Kind { kStep, kWritten, kX, kY, kKinds };
// Where in an input or a result the first token of a block's part is.
enum Where { kOfB, kOfC, kOfStep, kOfX, kOfY, kOfDstep, kOfDx, kOfNumbers, kWheres };

template <class F>
struct alignas(16) Tiles {
  float B[kStage][F::kWide], C[kStage][F::kWide];
  float channels[kStage][kKinds][F::kBlock];
  int64_t at[kWheres];
  bool starts[kStage];
};
template <class F>
struct BackwardTiles {
  Tiles<F> in;
  float of_write[kStage][F::kBlock], of_decay[kStage][F::kBlock];  // Σ_s g B; Σ_s g e^{ΔA} h_before A log₂e
  alignas(16) float states[kStage / kHeld - 1][2][kThreads][4];    // of a thread each
  alignas(16) float dB_dC[kWarps][F::kSummed][2][F::kRow];
};

// A block's channels and part of a sequence, and a thread's numbers.
template <class F>
struct Place {
  const ScanSizes& z;
  int64_t row, b, n, begin, first_channel, block, blocks;
  int tokens, channels, lane, group;

  __device__ explicit Place(const ScanSizes& sizes) : z(sizes) {
    blocks = (z.P + F::kBlock - 1) / F::kBlock;
    block = blockIdx.x % blocks, row = blockIdx.x / blocks;
    n = row / z.parts % z.N, b = row / z.parts / z.N;
    begin = row % z.parts * z.length;
    tokens = static_cast<int>(z.T - begin < z.length ? z.T - begin : z.length);
    first_channel = block * F::kBlock;
    channels = static_cast<int>(z.P - first_channel < F::kBlock ? z.P - first_channel : F::kBlock);
    // Neighbours have other channels: they read the same numbers of B and C, which then come at once.
    const int i = static_cast<int>(threadIdx.x);
    lane = i % kWarp / F::kGroups, group = i / kWarp * F::kGroups + i % F::kGroups;
  }
  // In fours, which threads read side by side.
  __device__ int number(int i) const { return i / 4 * 4 * F::kLanes + lane * 4 + i % 4; }
  __device__ int channel(int c) const { return group * F::kChannels + c; }
  __device__ int stages() const { return (tokens + kStage - 1) / kStage; }
  __device__ int64_t of_heads(const HeadsView& strides, int64_t heads) const {
    return b * strides.b + n / (z.N / heads) * strides.n + begin * strides.t;
  }
  // In [.., P, S] of `i`.
  __device__ int64_t in_states(int64_t i, int c, int s) const {
    return (i * z.P + first_channel + channel(c)) * z.S + number(s);
  }
  __device__ bool has(int c, int s) const { return channel(c) < channels && number(s) < z.S; }
  // In fours of all threads.
  __device__ int64_t of_stored(int stage) const {
    return (blockIdx.x * ((z.length + kStage - 1) / kStage) + stage) * 2;
  }
};

template <class F, class Action>
__device__ __forceinline__ void each(const Action& action) {
#pragma unroll
  for (int c = 0; c < F::kChannels; ++c)
#pragma unroll
    for (int s = 0; s < F::kNumbers; ++s) action(c, s);
}

// Of `i` in [.., P, S].
template <class F>
__device__ inline void read_states(const float* at, const Place<F>& place, int64_t i, typename F::Own& out) {
  each<F>([&](int c, int s) { out[c][s] = at && place.has(c, s) ? at[place.in_states(i, c, s)] : 0; });
}
template <class F>
__device__ inline void write_states(float* at, const Place<F>& place, int64_t i, const typename F::Own& x) {
  each<F>([&](int c, int s) {
    if (place.has(c, s)) at[place.in_states(i, c, s)] = x[c][s];
  });
}

// A thread's eight numbers as two fours, which lie beside those of its neighbours.
using FourOfThread = float[kThreads][4];
template <class F>
__device__ inline void put_state(const typename F::Own& x, FourOfThread* to) {
#pragma unroll
  for (int four = 0; four < 2; ++four) {
    float numbers[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) numbers[i] = x[(four * 4 + i) / F::kNumbers][(four * 4 + i) % F::kNumbers];
    write(&to[four][threadIdx.x][0], numbers);
  }
}
template <class F>
__device__ inline void take_state(const FourOfThread* from, typename F::Own& x) {
#pragma unroll
  for (int four = 0; four < 2; ++four) {
    float numbers[4];
    read(&from[four][threadIdx.x][0], numbers);
#pragma unroll
    for (int i = 0; i < 4; ++i) x[(four * 4 + i) / F::kNumbers][(four * 4 + i) % F::kNumbers] = numbers[i];
  }
}

// A row's own numbers of a thread.
template <class F>
__device__ inline void read_own(const float (&row)[F::kWide], const Place<F>& place,
                                float (&out)[F::kNumbers]) {
#pragma unroll
  for (int i = 0; i < F::kNumbers; i += 4) {
    float four[4];
    read(&row[place.number(i)], four);
#pragma unroll
    for (int j = 0; j < 4; ++j) out[i + j] = four[j];
  }
}

// Rows of a stage on their way from memory: as they lie there, so that nobody waits for them before they are
// put down. A thread has one column.
template <int width>
struct Rows {
  static constexpr int kTogether = kThreads / width;
  static constexpr int kEach = kTogether < kStage ? kStage / kTogether : 1;
  static_assert(kThreads % width == 0 && (kStage % kTogether == 0 || kTogether % kStage == 0));
  uint32_t bits[kEach];

  static __device__ int first() { return static_cast<int>(threadIdx.x) / width; }
  static __device__ int column() { return static_cast<int>(threadIdx.x) % width; }

  template <class T>
  __device__ void fetch_as(const HeadsIn& x, int64_t at, int count, int tokens) {
    const T* from = static_cast<const T*>(x.at) + at + first() * x.strides.t + column();
    const int64_t apart = kTogether * x.strides.t;
    const int left = column() < count ? tokens - first() : 0;
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      bits[e] = e * kTogether < left ? *from : 0;
      from += apart;
    }
  }
  __device__ void fetch(const HeadsIn& x, int64_t at, int count, int tokens) {
    if (!x.at) count = 0;
    if (x.format == Format::float32)
      fetch_as<uint32_t>(x, at, count, tokens);
    else
      fetch_as<uint16_t>(x, at, count, tokens);
  }
  __device__ float number(Format format, int e) const {
    return __uint_as_float(format == Format::float32 ? bits[e] : bits[e] << 16);
  }
  // put(t, column, e) for the numbers of a thread.
  template <class Put>
  static __device__ __forceinline__ void each(const Put& put) {
    if (kTogether > kStage && first() >= kStage) return;
#pragma unroll
    for (int e = 0; e < kEach; ++e) put(first() + e * kTogether, column(), e);
  }
};

__device__ inline float softplus(float x) { return x > 20 ? x : log1pf(expf(x)); }

template <class F, bool has_dy>
struct Fetched {
  Rows<F::kWide> B, C;
  Rows<F::kBlock> step, x, dy;
  bool starts;

  __device__ void fetch(const ScanInputs& in, const HeadsIn& of_dy, const Place<F>& place,
                        const Tiles<F>& tiles, int stage) {
    const int from = stage * kStage, left = place.tokens - from, t = static_cast<int>(threadIdx.x);
    const auto rows_from = [&](auto& rows, const HeadsIn& x, Where where, int count) {
      rows.fetch(x, tiles.at[where] + from * x.strides.t, count, left);
    };
    rows_from(B, in.B, kOfB, static_cast<int>(place.z.S));
    rows_from(C, in.C, kOfC, static_cast<int>(place.z.S));
    rows_from(step, in.step, kOfStep, place.channels);
    rows_from(x, in.x, kOfX, place.channels);
    if (has_dy) rows_from(dy, of_dy, kOfY, place.channels);
    starts =
        in.begins && t < kStage && t < left && in.begins[place.b * place.z.begins_b + place.begin + from + t];
  }
  __device__ void put_down(const ScanInputs& in, const HeadsIn& of_dy, const Place<F>& place, Tiles<F>& to,
                           int stage) const {
    const int left = place.tokens - stage * kStage;
    Rows<F::kWide>::each([&](int t, int s, int e) {
      to.B[t][s] = B.number(in.B.format, e), to.C[t][s] = C.number(in.C.format, e);
    });
    Rows<F::kBlock>::each([&](int t, int c, int e) {
      const float given = step.number(in.step.format, e), of_x = x.number(in.x.format, e);
      const float of_step = !in.raw_step ? given : t < left ? softplus(given) : 0;
      to.channels[t][kStep][c] = of_step, to.channels[t][kX][c] = of_x;
      to.channels[t][kWritten][c] = of_step * of_x;
      if (has_dy) to.channels[t][kY][c] = dy.number(of_dy.format, e);
    });
    if (threadIdx.x < kStage) to.starts[threadIdx.x] = starts;
  }
};

// Places of a block in what it reads, and for each of N heads writes.
template <class F>
__device__ inline void find_places(const Place<F>& place, const ScanInputs& in, const HeadsView& y,
                                   int64_t (&at)[kWheres]) {
  if (threadIdx.x != 0) return;
  const auto& z = place.z;
  at[kOfB] = place.of_heads(in.B.strides, z.heads_B);
  at[kOfC] = place.of_heads(in.C.strides, z.N);
  at[kOfStep] = place.of_heads(in.step.strides, z.N) + place.first_channel;
  at[kOfX] = place.of_heads(in.x.strides, z.heads_x) + place.first_channel;
  at[kOfY] = place.of_heads(y, z.N) + place.first_channel;
}

// action(t, channel) for the stage's tokens and channels that there are.
template <class F, class Action>
__device__ __forceinline__ void each_result(const Place<F>& place, int stage, const Action& action) {
  const int left = place.tokens - stage * kStage;
  Rows<F::kBlock>::each([&](int t, int c, int) {
    if (c < place.channels && t < left) action(t, c);
  });
}

// Of one token what a thread's channels read.
template <class F>
__device__ __forceinline__ void read_channels(const Tiles<F>& tiles, const Place<F>& place, int t, Kind kind,
                                              float (&out)[F::kChannels]) {
  read(&tiles.channels[t][kind][place.channel(0)], out);
}

}  // namespace attnlab::cuda::selective
