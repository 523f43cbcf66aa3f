// Instructions of sm_90a that CUDA C++ has no functions for (PTX ISA 8.0 and later): barriers in shared memory
// that count bytes, the copy engine, and products of matrices in shared memory by 128 threads together.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace attnlab::cuda::hopper {

__device__ inline uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

__device__ inline void init_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ inline void expect_bytes(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Without a branch, which would make the compiler run products one by one.
__device__ inline void arrive_if(bool arrives, uint32_t barrier) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %0, 0;\n@p mbarrier.arrive.shared::cta.b64 _, [%1];\n}" ::"r"(
                   static_cast<int>(arrives)),
               "r"(barrier)
               : "memory");
}
__device__ inline void wait(uint32_t barrier, int parity) {
  asm volatile(
      "{\n.reg .pred done;\nAGAIN:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra AGAIN;\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
// A box of a tensor of three dimensions.
__device__ inline void fetch(uint32_t to, const CUtensorMap* map, int x, int y, int z, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, "
      "%4}], [%5];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
      : "memory");
}
// What threads wrote to shared memory becomes visible to the matrix unit.
__device__ inline void show_to_matrix_unit() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// An operand in shared memory: rows of 128 bytes, swizzled, 8 of them 1024 bytes apart from the next 8.
__device__ inline uint64_t operand(uint32_t address) {
  constexpr uint64_t eight_rows = 1024 >> 4, swizzle_128 = 1;
  return ((address & 0x3ffff) >> 4) | eight_rows << 16 | eight_rows << 32 | swizzle_128 << 62;
}
__device__ inline void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int left>
__device__ inline void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}

__device__ inline void products_wait_all_but(int left) {
  if (left == 0) products_wait<0>();
  if (left == 1) products_wait<1>();
  if (left == 2) products_wait<2>();
  if (left == 3) products_wait<3>();
  if (left >= 4) products_wait<4>();
}

// sums [64, heads] (+)= a [64, 16] b [16, heads]; transposed: a's rows are columns in shared memory.
template <int transposed>
__device__ inline void multiply(float (&s)[4], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %6, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %5, p, 1, 1, %7, 0;\n}"
      : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
      : "l"(a), "l"(b), "r"(add), "n"(transposed));
}
template <int transposed>
__device__ inline void multiply(float (&s)[8], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %10, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7}, %8, %9, p, 1, 1, %11, "
      "0;\n}"
      : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7])
      : "l"(a), "l"(b), "r"(add), "n"(transposed));
}
template <int transposed>
__device__ inline void multiply(float (&s)[16], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %18, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, %16, %17, p, 1, 1, %19, 0;\n}"
      : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]), "+f"(s[7]),
        "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]), "+f"(s[14]), "+f"(s[15])
      : "l"(a), "l"(b), "r"(add), "n"(transposed));
}

}  // namespace attnlab::cuda::hopper
