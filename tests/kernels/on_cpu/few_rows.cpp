#include <cuda_bf16.h>

#include <array>

#include "cuda_block.h"
#include "kernels/few_rows_layout.h"
#include "kernels_on_cpu.h"

namespace attnlab::cuda::few_rows {
namespace {

float number_of(uint32_t pair, int high) {
  return __bfloat162float({static_cast<uint16_t>(high ? pair >> 16 : pair & 0xffff)});
}

Eight eight_from(const __nv_bfloat16* at, bool there) {
  Eight out = {};
  if (there) std::memcpy(&out, at, sizeof(out));
  return out;
}
Eight read_weights(const __nv_bfloat16* at, bool there) { return eight_from(at, there); }
Eight read_inputs(const __nv_bfloat16* at, bool there) { return eight_from(at, there); }

// What a thread holds of both factors of mma.m16n8k16.
struct Held {
  uint32_t a[4], b[2];
};
std::array<Held, kThreads> held[2];  // they take turns: before a thread holds its next but one, all have read
std::array<unsigned, kThreads> held_so_far;

// Of a warp. As the PTX documentation has it, for lane (g, t): its j-th word of a has the inputs 2 t, 2 t + 1
// (j < 2), or those + 8, of row g (j even), or g + 8; its j-th word of b the inputs 2 t, 2 t + 1, + 8 j, of
// column g; its sums are those of rows g, g, g + 8, g + 8 and columns 2 t, 2 t + 1 in turn.
void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const unsigned me = threadIdx.x, first = me / kLanes * kLanes, g = me % kLanes / 4, t = me % 4;
  auto& now = held[held_so_far[me]++ % 2];
  now[me] = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  __syncthreads();
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned row = i / 2, column = 2 * t + i % 2, quarter = k % 8 / 2, up = k / 8;
      const Held &left = now[first + 4 * g + quarter], &right = now[first + 4 * column + quarter];
      sums[i] += number_of(left.a[row + 2 * up], k % 2) * number_of(right.b[up], k % 2);
    }
}

float* shared_numbers() {
  static std::array<float, kWarps * kMostRows*(kMostTiles * kTile + 4)> numbers;
  return numbers.data();
}

}  // namespace
}  // namespace attnlab::cuda::few_rows

#include "kernels/few_rows.cuh"

namespace attnlab::test {

void few_rows_on_cpu(const cuda::FewRowsLayout& layout, const RowsOnCpu& rows) {
  namespace few = cuda::few_rows;
  const auto numbers = [](const uint16_t* bits) { return reinterpret_cast<const __nv_bfloat16*>(bits); };
  const few::Pointers at{numbers(rows.x), numbers(rows.w), numbers(rows.bias),
                         reinterpret_cast<__nv_bfloat16*>(rows.y)};
  few::held_so_far = {};
  few::with_sizes(layout, [&](auto tiles, auto columns, auto depth) {
    CpuBlock::run(static_cast<unsigned>(layout.groups), few::kThreads,
                  [&] { few::product<tiles(), columns(), depth()>(layout, at); });
  });
}

}  // namespace attnlab::test
