// Kernels of RWKV's recurrences, token by token with the state in registers. For RWKV-7 (`delta`), with k a
// number of keys, v of values, S [K, V]:
//   u_v = Σ_k a_k S_kv,   S_kv ← e^{w_k} S_kv + b_k u_v + k_k v_v,   o_v = Σ_k r_k S_kv
// and for RWKV-6, with f the bonus:
//   o_v = Σ_k r_k (S_kv + f_k k_k v_v),   S_kv ← e^{w_k} S_kv + k_k v_v
//
// Sums over k leave the columns of S apart from each other, and where u is known sums over v leave its rows
// apart. So each kernel takes one of the two sides and one direction of time, and its warps share nothing but
// inputs:
//   columns forward    u, o
//   columns backward   D = dS:  dv = Dᵀ k, du = Dᵀ b
//   rows forward       S again: dr = S do, da = S_before du
//   rows backward      D again: dk = D v, db = D u, dw
// No state is kept for the backward pass but the last. The gradient of a log decay, Σ_v D_kv e^{w_k}
// S_before,kv, follows from g = Σ_v D_kv S_kv, which both recurrences carry from token to token:
//   g behind a token = dw + k dk + b db,   g in front of it = dw + a da,   plus r dr where S is read
#pragma once

#include "kernels/vectors.cuh"
#include "kernels/wkv_layout.h"

namespace attnlab::cuda::wkv {

// Of 64 × 64 numbers a thread has kSummed × kOwn: kLanes threads sum over one side, each has kOwn numbers of
// the other.
constexpr int kHead = kWkvHead, kLanes = 8, kOwn = 4, kSummed = kHead / kLanes;
constexpr int kThreads = kHead / kOwn * kLanes;
constexpr int kStage = 16;    // tokens in shared memory
constexpr int kUnrolled = 2;  // of them in one turn of the loop
constexpr int kPacks = kStage * kHead / 4 / kThreads;
static_assert(kPacks * kThreads * 4 == kStage * kHead);
constexpr unsigned kAll = 0xffffffffu;

using Tile = float[kSummed][kOwn];
using Staged = float[kStage][kHead];

// A block's part of a sequence.
struct Part {
  int64_t row, b, n, begin, tokens;

  __device__ explicit Part(const WkvSizes& z) : row(blockIdx.x) {
    n = row / z.parts % z.N, b = row / z.parts / z.N;
    begin = row % z.parts * z.length;
    tokens = z.T - begin < z.length ? z.T - begin : z.length;
  }
  __device__ int64_t at(const HeadsView& strides, int64_t t) const {
    return b * strides.b + n * strides.n + (begin + t) * strides.t;
  }
};

// Which numbers are a thread's.
struct Lane {
  int summed, own;

  __device__ Lane() : summed(threadIdx.x % kLanes), own(threadIdx.x / kLanes * kOwn) {}
  // The i-th that it sums over: in fours, so that 8 threads read 128 bytes side by side.
  __device__ int number(int i) const { return i / 4 * 4 * kLanes + summed * 4 + i % 4; }
  // Of the sums of kOwn numbers, the one that it gets, as do the threads next to it; one of them writes.
  __device__ int mine() const { return own + summed * kOwn / kLanes; }
  __device__ bool writes() const { return summed % (kLanes / kOwn) == 0; }

  __device__ void read_summed(const float (&row)[kHead], float (&out)[kSummed]) const {
#pragma unroll
    for (int i = 0; i < kSummed; i += 4) {
      float four[4];
      read(&row[number(i)], four);
#pragma unroll
      for (int j = 0; j < 4; ++j) out[i + j] = four[j];
    }
  }
  __device__ void read_own(const float (&row)[kHead], float (&out)[kOwn]) const { read(&row[own], out); }
  // Where a state [K, V] has the tile's numbers.
  template <bool columns>
  __device__ int place(int i, int j) const {
    return columns ? number(i) * kHead + own + j : (own + j) * kHead + number(i);
  }
};

template <class Action>
__device__ __forceinline__ void each(const Action& action) {
#pragma unroll
  for (int i = 0; i < kSummed; ++i)
#pragma unroll
    for (int j = 0; j < kOwn; ++j) action(i, j);
}

__device__ inline void forget(bool forgets, float (&x)[kOwn]) {
#pragma unroll
  for (int j = 0; j < kOwn; ++j) x[j] = forgets ? 0 : x[j];
}

template <bool columns>
__device__ inline void read_state(const float* states, const Part& part, const Lane& lane, Tile& tile) {
  each([&](int i, int j) {
    tile[i][j] = states ? states[part.row * kHead * kHead + lane.place<columns>(i, j)] : 0;
  });
}

__device__ inline void write_columns(const Tile& tile, const Part& part, const Lane& lane, float* states) {
  each([&](int i, int j) { states[part.row * kHead * kHead + lane.place<true>(i, j)] = tile[i][j]; });
}

// Σ_i x_i tile_ij.
__device__ inline void add_products(const float (&x)[kSummed], const Tile& tile, float (&sums)[kOwn]) {
  each([&](int i, int j) { sums[j] += x[i] * tile[i][j]; });
}

template <bool delta>
__device__ inline void read_bonus(const float* all, const Part& part, const Lane& lane,
                                  float (&bonus)[kSummed]) {
#pragma unroll
  for (int i = 0; i < kSummed; ++i) bonus[i] = delta ? 0 : all[part.n * kHead + lane.number(i)];
}

// Σ_i r_i f_i k_i of a thread's own.
__device__ inline float product_of(const float (&r)[kSummed], const float (&f)[kSummed],
                                   const float (&k)[kSummed]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kSummed; ++i) sum += r[i] * f[i] * k[i];
  return sum;
}

// x · y, in all of the kLanes threads.
__device__ inline float dot_of_all(const float (&x)[kSummed], const float (&y)[kSummed]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kSummed; ++i) sum += x[i] * y[i];
#pragma unroll
  for (int apart = kLanes / 2; apart > 0; apart /= 2) sum += __shfl_xor_sync(kAll, sum, apart);
  return sum;
}

// The sum of x[mine() - own], each thread passing on what is not on its half's side.
__device__ inline float sum_of_mine(const float (&x)[kOwn], const Lane& lane) {
  float left[kOwn];
#pragma unroll
  for (int j = 0; j < kOwn; ++j) left[j] = x[j];
  int apart = kLanes / 2;
#pragma unroll
  for (int half = kOwn / 2; half > 0; half /= 2, apart /= 2) {
    const bool upper = (lane.summed & apart) != 0;
#pragma unroll
    for (int j = 0; j < half; ++j) {
      const float kept = upper ? left[j + half] : left[j], passed = upper ? left[j] : left[j + half];
      left[j] = kept + __shfl_xor_sync(kAll, passed, apart);
    }
  }
#pragma unroll
  for (; apart > 0; apart /= 2) left[0] += __shfl_xor_sync(kAll, left[0], apart);
  return left[0];
}

// The sums of the kLanes threads, in all of them: many of them each from the thread that has it.
__device__ inline void sum_in_all(float (&x)[kOwn], const Lane& lane) {
  if constexpr (kOwn >= 4) {
    const float mine = sum_of_mine(x, lane);
#pragma unroll
    for (int j = 0; j < kOwn; ++j) x[j] = __shfl_xor_sync(kAll, mine, lane.summed ^ (j * kLanes / kOwn));
  } else {
#pragma unroll
    for (int apart = kLanes / 2; apart > 0; apart /= 2)
#pragma unroll
      for (int j = 0; j < kOwn; ++j) x[j] += __shfl_xor_sync(kAll, x[j], apart);
  }
}

// What an earlier kernel has put there.
__device__ inline HeadsIn given(const HeadsOut& x) { return {x.at, x.format, x.strides}; }

// Four numbers as they lie in memory, so that nobody waits for them before they are used.
struct Raw {
  uint32_t bits[4];
};

__device__ inline Raw raw_of(const HeadsIn& x, int64_t at) {
  Raw raw = {};
  if (!x.at) return raw;
  if (x.format == Format::float32) {
    const auto pack = *reinterpret_cast<const Pack<uint32_t, 4>*>(static_cast<const float*>(x.at) + at);
#pragma unroll
    for (int i = 0; i < 4; ++i) raw.bits[i] = pack.values[i];
  } else {
    const auto pack = *reinterpret_cast<const Pack<uint32_t, 2>*>(static_cast<const __nv_bfloat16*>(x.at) + at);
    raw.bits[0] = pack.values[0], raw.bits[1] = pack.values[1];
  }
  return raw;
}

__device__ inline void numbers_of(const Raw& raw, Format format, float (&out)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
    out[i] = __uint_as_float(format == Format::float32 ? raw.bits[i]
                             : i % 2 == 0              ? raw.bits[i / 2] << 16
                                                       : raw.bits[i / 2] & 0xffff0000u);
}

// Of a kernel's inputs which are log decays, and which multiply the state of before, so that zeros let go of it
// without another look (-1: none).
struct StateReads {
  int decay, forgotten[2];
};

// The inputs of kStage tokens at a time, on their way from memory while the ones before are computed with.
template <int n>
struct Inputs {
  HeadsIn in[n];
  const bool* begins;  // [B, T]
  Raw raw[n][kPacks];
  bool raw_begins[kPacks];

  // The first n of all.
  __device__ Inputs(const HeadsIn* all, const bool* where) : begins(where) {
#pragma unroll
    for (int x = 0; x < n; ++x) in[x] = all[x];
  }
  __device__ void fetch(const WkvSizes& z, const Part& part, int64_t from) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int pack = p * kThreads + threadIdx.x, i = pack % (kHead / 4) * 4;
      const int64_t t = from + pack / (kHead / 4);
      raw_begins[p] = begins && t < part.tokens && begins[part.b * z.T + part.begin + t];
      if (t >= part.tokens) continue;
#pragma unroll
      for (int x = 0; x < n; ++x) raw[x][p] = raw_of(in[x], part.at(in[x].strides, t) + i);
    }
  }
  // Log decays become decays; where a document begins, what `reads` names is 0.
  template <int places>
  __device__ void put_down(Staged (&staged)[places], bool (&starts)[kStage], const StateReads& reads) const {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int pack = p * kThreads + threadIdx.x, t = pack / (kHead / 4), i = pack % (kHead / 4) * 4;
#pragma unroll
      for (int x = 0; x < n; ++x) {
        float four[4];
        numbers_of(raw[x][p], in[x].format, four);
        const bool forgets = raw_begins[p] && (x == reads.forgotten[0] || x == reads.forgotten[1]);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (x == reads.decay) four[j] = expf(four[j]);
          if (forgets) four[j] = 0;
        }
        write(&staged[x][t][i], four);
      }
      if (i == 0) starts[t] = raw_begins[p];
    }
  }
};

// A kernel's results, which a stage leaves in shared memory, in place of inputs that only the warp of the same
// numbers reads, and which go to memory together: an address and a format cost as much as a sum.
template <int n>
struct Results {
  HeadsOut out[n];
  int place[n];

  template <int places>
  __device__ void store(const Part& part, int64_t from, int count, const Staged (&staged)[places]) const {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int pack = p * kThreads + threadIdx.x, t = pack / (kHead / 4), i = pack % (kHead / 4) * 4;
      if (t >= count) continue;
#pragma unroll
      for (int x = 0; x < n; ++x) {
        if (!out[x].at) continue;
        const int64_t at = part.at(out[x].strides, from + t) + i;
        float four[4];
        read(&staged[place[x]][t][i], four);
        if (out[x].format == Format::float32)
          write(static_cast<float*>(out[x].at) + at, four);
        else
          write(static_cast<__nv_bfloat16*>(out[x].at) + at, four);
      }
    }
  }
};

// step(place of the token in `staged`, whether a document begins) for all tokens of a part.
template <bool backwards, int n, int m, int places, class Step>
__device__ __forceinline__ void each_token(const WkvSizes& z, const Part& part, Inputs<n>& inputs,
                                           const StateReads& reads, const Results<m>& results,
                                           Staged (&staged)[places], bool (&starts)[kStage], const Step& step) {
  const int64_t stages = (part.tokens + kStage - 1) / kStage;
  const auto first_of = [&](int64_t i) { return (backwards ? stages - 1 - i : i) * kStage; };
  if (stages > 0) inputs.fetch(z, part, first_of(0));
  for (int64_t i = 0; i < stages; ++i) {
    const int64_t from = first_of(i);
    __syncthreads();
    inputs.put_down(staged, starts, reads);
    __syncthreads();
    if (i + 1 < stages) inputs.fetch(z, part, first_of(i + 1));
    const int count = static_cast<int>(part.tokens - from < kStage ? part.tokens - from : kStage);
#pragma unroll kUnrolled
    for (int j = 0; j < count; ++j) {
      const int t = backwards ? count - 1 - j : j;
      step(t, starts[t]);
    }
    __syncthreads();
    results.store(part, from, count, staged);
  }
}

template <bool delta>
__global__ void __launch_bounds__(kThreads)
    columns_forward(WkvSizes z, WkvInputs in, HeadsOut o, HeadsOut u, float* last) {
  enum { kR, kW, kK, kV, kA, kB, kU };
  constexpr int n = delta ? 6 : 4;
  alignas(16) __shared__ Staged staged[delta ? n + 1 : n];
  __shared__ bool starts[kStage];
  const Part part(z);
  const Lane lane;
  Tile S;
  read_state<true>(in.first, part, lane, S);
  float bonus[kSummed];
  read_bonus<delta>(in.bonus, part, lane, bonus);
  const HeadsIn all[] = {in.r, in.w, in.k, in.v, in.a, in.b};
  Inputs<n> inputs(all, in.begins);
  constexpr StateReads reads{kW, {kW, delta ? int{kA} : -1}};
  const Results<2> results{{o, u}, {kV, delta ? kU : kV}};
  each_token<false>(z, part, inputs, reads, results, staged, starts, [&](int t, bool begins) {
    float r[kSummed], w[kSummed], k[kSummed], v[kOwn], sums[kOwn] = {};
    lane.read_summed(staged[kR][t], r);
    lane.read_summed(staged[kW][t], w);
    lane.read_summed(staged[kK][t], k);
    lane.read_own(staged[kV][t], v);
    if constexpr (delta) {
      float a[kSummed], b[kSummed], ua[kOwn] = {};
      lane.read_summed(staged[kA][t], a);
      lane.read_summed(staged[kB][t], b);
      add_products(a, S, ua);
      sum_in_all(ua, lane);
      if (lane.summed == 0) write(&staged[kU][t][lane.own], ua);
      each([&](int i, int j) {  // what does not wait for ua first
        const float kept = w[i] * S[i][j] + k[i] * v[j];
        S[i][j] = kept + b[i] * ua[j];
      });
      add_products(r, S, sums);
    } else {
      const float own = product_of(r, bonus, k);
      add_products(r, S, sums);
#pragma unroll
      for (int j = 0; j < kOwn; ++j) sums[j] = own * v[j] + (begins ? 0 : sums[j]);
      each([&](int i, int j) { S[i][j] = w[i] * S[i][j] + k[i] * v[j]; });
    }
    const float sum = sum_of_mine(sums, lane);
    if (lane.writes()) staged[kV][t][lane.mine()] = sum;
  });
  write_columns(S, part, lane, last);
}

template <bool delta>
__global__ void __launch_bounds__(kThreads)
    columns_backward(WkvSizes z, WkvInputs in, WkvResults given_results, WkvGradients out) {
  enum { kR, kW, kK, kDo, kA, kB, kDu };
  constexpr int n = delta ? 6 : 4;
  alignas(16) __shared__ Staged staged[delta ? n + 1 : n];
  __shared__ bool starts[kStage];
  const Part part(z);
  const Lane lane;
  Tile D;
  read_state<true>(given_results.dlast, part, lane, D);
  float bonus[kSummed];
  read_bonus<delta>(in.bonus, part, lane, bonus);
  const HeadsIn all[] = {in.r, in.w, in.k, given_results.dout, in.a, in.b};
  Inputs<n> inputs(all, in.begins);
  constexpr StateReads reads{kW, {kW, delta ? int{kA} : -1}};
  const Results<2> results{{out.v, out.du}, {kDo, delta ? kDu : kDo}};
  each_token<true>(z, part, inputs, reads, results, staged, starts, [&](int t, bool begins) {
    float r[kSummed], w[kSummed], k[kSummed], dout[kOwn], dv[kOwn] = {};
    lane.read_summed(staged[kR][t], r);
    lane.read_summed(staged[kW][t], w);
    lane.read_summed(staged[kK][t], k);
    lane.read_own(staged[kDo][t], dout);
    if constexpr (delta) {
      float a[kSummed], b[kSummed], du[kOwn] = {};
      lane.read_summed(staged[kA][t], a);
      lane.read_summed(staged[kB][t], b);
      each([&](int i, int j) { D[i][j] += r[i] * dout[j]; });
      add_products(b, D, du);
      sum_in_all(du, lane);
      if (lane.summed == 0) write(&staged[kDu][t][lane.own], du);
      add_products(k, D, dv);
      each([&](int i, int j) { D[i][j] = fmaf(a[i], du[j], w[i] * D[i][j]); });  // du comes last
    } else {
      const float own = product_of(r, bonus, k);
#pragma unroll
      for (int j = 0; j < kOwn; ++j) dv[j] = own * dout[j];
      add_products(k, D, dv);
      forget(begins, dout);
      each([&](int i, int j) { D[i][j] = w[i] * D[i][j] + r[i] * dout[j]; });
    }
    const float sum = sum_of_mine(dv, lane);
    if (lane.writes()) staged[kDo][t][lane.mine()] = sum;
  });
  if (out.first) write_columns(D, part, lane, out.first);
}

// Leaves r dr of what is read of S in `read`.
template <bool delta>
__global__ void __launch_bounds__(kThreads)
    rows_forward(WkvSizes z, WkvInputs in, WkvResults given_results, WkvGradients out) {
  enum { kR, kW, kK, kV, kDo, kB, kU, kDu };
  constexpr int n = delta ? 8 : 5;
  alignas(16) __shared__ Staged staged[n];
  __shared__ bool starts[kStage];
  const Part part(z);
  const Lane lane;
  Tile S;  // [V, K]
  read_state<false>(in.first, part, lane, S);
  const float bonus = delta ? 0 : in.bonus[part.n * kHead + lane.mine()];
  const HeadsIn all[] = {in.r, in.w, in.k, in.v, given_results.dout, in.b, given_results.u, given(out.du)};
  Inputs<n> inputs(all, in.begins);
  constexpr StateReads reads{kW, {kW, -1}};
  const Results<3> results{{out.read, out.r, out.a}, {kR, kK, delta ? kB : kR}};
  each_token<false>(z, part, inputs, reads, results, staged, starts, [&](int t, bool begins) {
    float w[kOwn], k[kOwn], v[kSummed], dout[kSummed], dr[kOwn] = {};
    lane.read_own(staged[kW][t], w);
    lane.read_own(staged[kK][t], k);
    lane.read_summed(staged[kV][t], v);
    lane.read_summed(staged[kDo][t], dout);
    const int mine = lane.mine();
    float of_bonus = 0;
    if constexpr (delta) {
      float b[kOwn], u[kSummed], du[kSummed], da[kOwn] = {};
      lane.read_own(staged[kB][t], b);
      lane.read_summed(staged[kU][t], u);
      lane.read_summed(staged[kDu][t], du);
      add_products(du, S, da);
      const float sum = begins ? 0 : sum_of_mine(da, lane);
      if (lane.writes()) staged[kB][t][mine] = sum;
      each([&](int i, int j) { S[i][j] = w[j] * S[i][j] + (b[j] * u[i] + k[j] * v[i]); });
      add_products(dout, S, dr);
    } else {
      add_products(dout, S, dr);
      const float product = dot_of_all(v, dout);
      each([&](int i, int j) { S[i][j] = w[j] * S[i][j] + k[j] * v[i]; });
      of_bonus = product * bonus * staged[kK][t][mine];
      forget(begins, dr);
    }
    const float sum = sum_of_mine(dr, lane);
    if (!lane.writes()) return;
    staged[kR][t][mine] *= sum;
    staged[kK][t][mine] = sum + of_bonus;
  });
}

// A sum of many terms, and what its roundings took away (Kahan).
struct Sum {
  float value, missing = 0;

  __device__ void add(float x) {
    const float more = x - missing, next = value + more;
    missing = (next - value) - more;
    value = next;
  }
};

// Σ_v D S behind a part.
__device__ inline float of_last(const Tile& D, const WkvResults& results, const Part& part, const Lane& lane) {
  if (!results.dlast) return 0;
  Tile S;
  read_state<false>(results.last, part, lane, S);
  float sums[kOwn] = {};
  each([&](int i, int j) { sums[j] += D[i][j] * S[i][j]; });
  return sum_of_mine(sums, lane);
}

template <bool delta>
__global__ void __launch_bounds__(kThreads)
    rows_backward(WkvSizes z, WkvInputs in, WkvResults given_results, WkvGradients out) {
  enum { kR, kW, kK, kV, kDo, kRead, kA, kB, kU, kDu, kDa };
  constexpr int n = delta ? 11 : 6;
  alignas(16) __shared__ Staged staged[n];
  __shared__ bool starts[kStage];
  const Part part(z);
  const Lane lane;
  Tile D;  // [V, K]
  read_state<false>(given_results.dlast, part, lane, D);
  const float bonus = delta ? 0 : in.bonus[part.n * kHead + lane.mine()];
  float dbonus = 0;
  Sum g{of_last(D, given_results, part, lane)};  // of what all later tokens leave
  const HeadsIn all[] = {
      in.r,          in.w,        in.k, in.v, given_results.dout, given(out.read), in.a, in.b, given_results.u,
      given(out.du), given(out.a)};
  Inputs<n> inputs(all, in.begins);
  constexpr StateReads reads{kW, {kW, delta ? int{kA} : -1}};
  const Results<3> results{{out.w, out.k, out.b}, {kRead, kK, delta ? kB : kK}};
  each_token<true>(z, part, inputs, reads, results, staged, starts, [&](int t, bool begins) {
    float r[kOwn], w[kOwn], v[kSummed], dout[kSummed], dk[kOwn] = {};
    lane.read_own(staged[kR][t], r);
    lane.read_own(staged[kW][t], w);
    lane.read_summed(staged[kV][t], v);
    lane.read_summed(staged[kDo][t], dout);
    const int mine = lane.mine();
    const float my_k = staged[kK][t][mine], read = staged[kRead][t][mine];
    float of_bonus = 0, dw, sum;
    if constexpr (delta) {
      float a[kOwn], u[kSummed], du[kSummed], db[kOwn] = {};
      lane.read_own(staged[kA][t], a);
      lane.read_summed(staged[kU][t], u);
      lane.read_summed(staged[kDu][t], du);
      each([&](int i, int j) { D[i][j] += r[j] * dout[i]; });
      add_products(v, D, dk);
      add_products(u, D, db);
      each([&](int i, int j) { D[i][j] = w[j] * D[i][j] + a[j] * du[i]; });
      sum = sum_of_mine(dk, lane);
      const float sum_b = sum_of_mine(db, lane);
      g.add(read - my_k * sum - staged[kB][t][mine] * sum_b);
      if (lane.writes()) staged[kB][t][mine] = sum_b;
      dw = g.value;
      g.add(staged[kA][t][mine] * staged[kDa][t][mine]);
    } else {
      add_products(v, D, dk);
      const float product = dot_of_all(v, dout);
      forget(begins, r);
      each([&](int i, int j) { D[i][j] = w[j] * D[i][j] + r[j] * dout[i]; });
      sum = sum_of_mine(dk, lane);
      g.add(-my_k * sum);
      dw = g.value;
      g.add(read);
      const float my_r = staged[kR][t][mine];
      of_bonus = product * bonus * my_r;
      dbonus += product * my_r * my_k;
    }
    if (begins) g = Sum{0}, dw = 0;
    if (!lane.writes()) return;
    staged[kRead][t][mine] = dw;
    staged[kK][t][mine] = sum + of_bonus;
  });
  if (!delta && lane.writes()) out.bonus[part.row * kHead + lane.mine()] = dbonus;
}

}  // namespace attnlab::cuda::wkv
