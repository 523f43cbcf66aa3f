#include "kernels/packed_mma.cuh"

// y = x Wᵀ for up to 16 rows of x and W in the hub's packed layout, on tensor cores (mma.m16n8k16). W is the
// left factor: its whole numbers less their zero points are exact in 16 bits, sums are float32, and a group's
// sum is multiplied by its scale once. Words go from memory to the registers that multiply them, each once:
// which input stands where along k is free as long as both factors agree, so that a thread (g, t) of a warp
// holds
//   outputs  first + 4 g ... + 3, a word of each in one access: rows g and g + 8 of two tiles
//   inputs   those of the t-th of four rows of words (3 bits: the t-th 24 of 96 bits), `own` of them
// and the pairs that a register holds are the inputs s and s + own/2. A block takes 32 outputs; its warps share
// the inputs and add what they have in the warps' order: equal calls give equal bits.
namespace attnlab::cuda {
namespace {

constexpr int kLanes = 32, kColumns = 32, kOwnColumns = 4, kRowsOfMma = 8;
constexpr int kManyWarps = 16, kFewWarps = 8;

// Four neighbouring outputs' scales and zero points of one group.
struct Grid {
  float scale[kOwnColumns];
  uint32_t zero[kOwnColumns];
};

template <int bits>
__device__ inline Grid grid_of(const PackedLayout& l, const Packed& p, int group, int64_t column) {
  Grid grid;
  const int64_t bit = bits * column, word = bit / 32;
  const int shift = static_cast<int>(bit % 32);
  const uint32_t* row = p.qzeros + int64_t{group} * (l.out * bits / 32);
  const uint32_t high = shift + kOwnColumns * bits > 32 ? row[word + 1] : 0;
  const uint32_t fields = __funnelshift_r(row[word], high, shift);
  const uint2 halves = *reinterpret_cast<const uint2*>(p.scales + int64_t{group} * l.out + column);
  const float2 low = __half22float2(as<__half2>(halves.x)), up = __half22float2(as<__half2>(halves.y));
  grid.scale[0] = low.x, grid.scale[1] = low.y, grid.scale[2] = up.x, grid.scale[3] = up.y;
#pragma unroll
  for (int c = 0; c < kOwnColumns; ++c)
    grid.zero[c] = ((fields >> (bits * c)) + l.zero_offset) & Words<bits>::mask;
  return grid;
}

// The words of a step that hold this thread's inputs.
template <int bits>
struct Step {
  uint4 words[Words<bits>::accesses];
};

template <int bits>
__device__ inline Step<bits> read_step(const PackedLayout& l, const Packed& p, int64_t step, int t,
                                       int64_t column) {
  constexpr int rows = Words<bits>::step * bits / 32;
  Step<bits> out = {};
  const int64_t last = l.in * bits / 32 - 1;
#pragma unroll
  for (int a = 0; a < Words<bits>::accesses; ++a) {
    const int64_t row = step * rows + (bits == 3 ? (24 * t + 23 * a) / 32 : t);
    if (row <= last) out.words[a] = __ldg(reinterpret_cast<const uint4*>(p.qweight + row * l.out + column));
  }
  return out;
}

__device__ inline uint32_t part(const uint4& words, int column) {
  return column == 0 ? words.x : column == 1 ? words.y : column == 2 ? words.z : words.w;
}

// The pairs (s, s + own/2) of a column are (fields >> bits · s) & masks.
template <int bits>
__device__ inline uint32_t fields_of(const Step<bits>& step, int t, int column) {
  if constexpr (bits != 3) return part(step.words[0], column);
  const uint32_t all = __funnelshift_r(part(step.words[0], column), part(step.words[1], column), 24 * t % 32);
  return (all & 0xfff) | (all & 0xfff000) << 4;
}

// x's inputs of a step as the right factor: pairs (s, s + own/2) of row `row`; zeros where there is none.
template <class T, int bits>
__device__ inline void read_inputs(const PackedLayout& l, const T* x, int64_t row, int64_t input,
                                   uint32_t (&pairs)[Words<bits>::own / 2]) {
  constexpr int words = Words<bits>::own / 2;  // of two numbers
  uint32_t in[words] = {};
  if (row < l.rows && input < l.in) {
    const T* from = x + row * l.in + input;
    if constexpr (words == 2) {
      *reinterpret_cast<uint2*>(in) = *reinterpret_cast<const uint2*>(from);
    } else {
#pragma unroll
      for (int w = 0; w < words; w += 4)
        *reinterpret_cast<uint4*>(in + w) = *reinterpret_cast<const uint4*>(from + 2 * w);
    }
  }
#pragma unroll
  for (int s = 0; s < words; s += 2) {
    pairs[s] = __byte_perm(in[s / 2], in[(s + words) / 2], 0x5410);
    pairs[s + 1] = __byte_perm(in[s / 2], in[(s + words) / 2], 0x7632);
  }
}

// Groups of columns in order: a warp's step lies in one.
template <class T, int bits, int tiles>
struct Ordered {
  Grid grid;
  int group = -1;
  float sums[tiles][2][4] = {};  // of the group

  __device__ void enter(const PackedLayout& l, const Packed& p, int64_t input, int64_t column,
                        float (&total)[tiles][2][4]) {
    const int next = static_cast<int>(input) / l.group;
    if (next == group) return;
    leave(total);
    group = next;
    grid = grid_of<bits>(l, p, group, column);
#pragma unroll
    for (int c = 0; c < kOwnColumns; ++c) grid.zero[c] = (kBase<T, bits> + grid.zero[c]) * 0x10001u;
  }
  __device__ void leave(float (&total)[tiles][2][4]) {
    if (group < 0) return;
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          total[n][h][i] += grid.scale[2 * h + i / 2] * sums[n][h][i];
          sums[n][h][i] = 0;
        }
  }
};

template <class T, int bits, int tiles>
__device__ inline void multiply_step(const uint32_t (&left)[2][Words<bits>::own / 4][4],
                                     const uint32_t (&right)[tiles][Words<bits>::own / 2],
                                     float (&sums)[tiles][2][4]) {
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
      for (int k = 0; k < Words<bits>::own / 4; ++k)
        multiply<T>(sums[n][h], left[h][k], right[n][2 * k], right[n][2 * k + 1]);
}

// Column c is row g (c even) or g + 8 of half c / 2; pair s is along k the (s % 2)-th of product s / 2.
template <class T, int bits>
__device__ inline void place(uint32_t (&left)[2][Words<bits>::own / 4][4], int column, int s, uint32_t pair) {
  left[column / 2][s / 2][column % 2 + 2 * (s % 2)] = pair;
}

template <class T, int bits>
__device__ inline void fill_ordered(const Grid& grid, const Step<bits>& step, int t,
                                    uint32_t (&left)[2][Words<bits>::own / 4][4]) {
#pragma unroll
  for (int c = 0; c < kOwnColumns; ++c) {
    const uint32_t fields = fields_of<bits>(step, t, c);
#pragma unroll
    for (int s = 0; s < Words<bits>::own / 2; ++s)
      place<T, bits>(left, c, s, centred<T, bits>((fields >> (bits * s)) & Words<bits>::masks, grid.zero[c]));
  }
}

// Each input of its own group: weights are rounded to T, as where they are dequantised first.
template <class T, int bits>
__device__ inline void fill_anywhere(const PackedLayout& l, const Packed& p, int64_t input, int64_t column,
                                     const Step<bits>& step, int t,
                                     uint32_t (&left)[2][Words<bits>::own / 4][4]) {
  constexpr int half = Words<bits>::own / 2;
  const bool there = input < l.in;
#pragma unroll
  for (int s = 0; s < half; ++s) {
    const Grid low = grid_of<bits>(l, p, there ? p.g_idx[input + s] : 0, column);
    const Grid high = grid_of<bits>(l, p, there ? p.g_idx[input + s + half] : 0, column);
#pragma unroll
    for (int c = 0; c < kOwnColumns; ++c) {
      const uint32_t pair = (fields_of<bits>(step, t, c) >> (bits * s)) & Words<bits>::masks;
      const auto number = [](uint32_t q, uint32_t zero) {
        return __int2float_rn(static_cast<int>(q) - static_cast<int>(zero));
      };
      place<T, bits>(left, c, s,
                     pair_of<T>(low.scale[c] * number(pair & 0xffff, low.zero[c]),
                                high.scale[c] * number(pair >> 16, high.zero[c])));
    }
  }
}

// What the warps have, added in their order; `total` of rows 2t and 2t + 1 and columns 4g ... + 3.
template <class T, int tiles>
__device__ inline void leave_block(const PackedLayout& l, const float (&total)[tiles][2][4], float* shared,
                                   T* out) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes;
  constexpr int rows = tiles * kRowsOfMma;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const float4 numbers{total[n][0][odd], total[n][0][2 + odd], total[n][1][odd], total[n][1][2 + odd]};
      const int row = n * kRowsOfMma + 2 * t + odd;
      *reinterpret_cast<float4*>(shared + (warp * rows + row) * kColumns + kOwnColumns * g) = numbers;
    }
  __syncthreads();
  for (int i = threadIdx.x; i < l.rows * kColumns; i += blockDim.x) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) sum += shared[w * rows * kColumns + i];
    const int64_t at = i / kColumns * l.out + blockIdx.x * kColumns + i % kColumns;
    out[at] = number_of<T>(sum);
  }
}

// Steps whose words are read before the first is used, as registers suffice.
template <int bits, int tiles, bool ordered, int warps>
constexpr int kAheadOf = bits < 4 && (tiles > 1 || !ordered || warps == kFewWarps) ? 2 : 4;

// Where a multiprocessor has one block, it has more warps; where it has several, they fill it while one ends.
template <class T, int bits, int tiles, bool ordered, int warps>
__global__ void __launch_bounds__(warps* kLanes, warps == kManyWarps     ? 1
                                                 : ordered && tiles == 1 ? 3
                                                                         : 2)
    packed_product(PackedLayout l, const T* __restrict__ x, Packed p, T* __restrict__ out) {
  using W = Words<bits>;
  constexpr int kAhead = kAheadOf<bits, tiles, ordered, warps>;
  __shared__ alignas(16) float shared[warps * tiles * kRowsOfMma * kColumns];
  const int lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
  const int64_t column = blockIdx.x * static_cast<int64_t>(kColumns) + kOwnColumns * g;
  const int64_t steps = (l.in + W::step - 1) / W::step, warp = threadIdx.x / kLanes;
  const int64_t begin = steps * warp / warps, end = steps * (warp + 1) / warps;
  float total[tiles][2][4] = {};
  Ordered<T, bits, tiles> group;
  for (int64_t first = begin; first < end; first += kAhead) {
    Step<bits> ahead[kAhead];
    uint32_t right[kAhead][tiles][W::own / 2];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      if (first + a >= end) break;
      ahead[a] = read_step<bits>(l, p, first + a, t, column);
#pragma unroll
      for (int n = 0; n < tiles; ++n)
        read_inputs<T, bits>(l, x, n * kRowsOfMma + g, (first + a) * W::step + t * W::own, right[a][n]);
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      if (first + a >= end) break;
      const int64_t input = (first + a) * W::step;
      uint32_t left[2][W::own / 4][4];
      if constexpr (ordered) {
        group.enter(l, p, input, column, total);
        fill_ordered<T, bits>(group.grid, ahead[a], t, left);
        multiply_step<T, bits, tiles>(left, right[a], group.sums);
      } else {
        fill_anywhere<T, bits>(l, p, input + t * W::own, column, ahead[a], t, left);
        multiply_step<T, bits, tiles>(left, right[a], total);
      }
    }
  }
  if constexpr (ordered) group.leave(total);
  leave_block<T, tiles>(l, total, shared, out);
}

struct Launch {
  PackedLayout layout;
  const void* x;
  Packed packed;
  void* out;
  int multiprocessors;
  cudaStream_t stream;
};

template <class T, int bits, int tiles, bool ordered>
void launch_product(const Launch& a) {
  const int blocks = a.layout.out / kColumns;
  const auto launch = [&](auto kernel, int warps) {
    kernel<<<blocks, warps * kLanes, 0, a.stream>>>(a.layout, static_cast<const T*>(a.x), a.packed,
                                                    static_cast<T*>(a.out));
  };
  if (blocks <= a.multiprocessors)
    launch(packed_product<T, bits, tiles, ordered, kManyWarps>, kManyWarps);
  else
    launch(packed_product<T, bits, tiles, ordered, kFewWarps>, kFewWarps);
}

template <class T, int bits>
void launch_rows(const Launch& a) {
  const PackedLayout& l = a.layout;
  const bool ordered = l.group > 0 && (l.group % Words<bits>::step == 0 || l.group >= l.in);
  if (l.rows <= kRowsOfMma)
    return ordered ? launch_product<T, bits, 1, true>(a) : launch_product<T, bits, 1, false>(a);
  ordered ? launch_product<T, bits, 2, true>(a) : launch_product<T, bits, 2, false>(a);
}

}  // namespace

cudaError_t packed_linear(PackedNumbers numbers, const PackedLayout& l, const void* x,
                          const PackedPointers& packed, void* out, int multiprocessors, cudaStream_t stream) {
  if (l.rows < 1 || l.rows > kMostPackedRows || l.in % 32 != 0 || l.out % kColumns != 0)
    return cudaErrorInvalidValue;
  const Launch all{l, x, packed_of(packed), out, multiprocessors, stream};
  const bool known = with_bits(l.bits, [&](auto bits) {
    if (numbers == PackedNumbers::float16) launch_rows<__half, bits()>(all);
    if (numbers == PackedNumbers::bfloat16) launch_rows<__nv_bfloat16, bits()>(all);
  });
  return known && numbers != PackedNumbers::float32 ? cudaGetLastError() : cudaErrorInvalidValue;
}

}  // namespace attnlab::cuda
