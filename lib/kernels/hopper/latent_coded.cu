#include "kernels/hopper/coded_slots.h"
#include "kernels/hopper/latent_group.cuh"
#include "kernels/hopper/tensor_map.cuh"

// latent_query over codes: of device memory the codes are read, and warps of the block's own turn them into the
// tile of bfloat16 that the matrix unit reads. Each takes its tokens of every tile,
//   device memory → (copy engine) slots of the warp's own → (decoding) two blocks of a tile at a time,
// and the numbers that are kept as they are come by the copy engine, as the last block of a tile.
//
// Barriers, and who makes a phase of each complete; turn t of a group is its t-th tile:
//   arrived [warp][slot]: the lane that asks the copy engine, and the bytes. The warp alone waits; it asks anew
//     when all its lanes have read the slot, so that it never falls a phase behind.
//   full [group][block]: each decoding warp, when its lanes' numbers are shown to the matrix unit; for the last
//     block the lane that asks, and the bytes. Turn t is phase t, and the group waits with parity t & 1.
//   free [group][block]: the group's four warps, when their products with the block are over. Turn t is phase
//   t;
//     who fills turn t waits for phase t - 1, of parity (t & 1) ^ 1, which on a new barrier is over at once.
// None waits for itself: the last block of tile n + 1 is asked for in the midst of tile n, and is freed by the
// scores of tile n - 1, for which this warp has done all by then.
namespace attnlab::cuda {
namespace {

// One group of 128 threads that decode leaves more registers to those that multiply: at the start each thread
// has 168 of 65,536. Two would have 128, and then 48 and 208.
constexpr int kDecodeWarps = 4;
constexpr int kThreads = 32 * kDecodeWarps + kGroups * kGroupThreads;
constexpr int kDecodeRegisters = kDecodeWarps == 4 ? 72 : 48, kGroupRegisters = kDecodeWarps == 4 ? 216 : 208;
constexpr int kScaleStages = 2;
using Own = Decoder<kDecodeWarps>;
static_assert(kTile == kTokensOfTile && kBlock == kColumnsOfBlock && kSlotColumns == 2 * kBlock);

struct CodedMaps {
  CUtensorMap codes, rest;
  int rest_x;  // where the rest begins; behind its end where there is none, so that zeros come
};

template <int heads, int blocks>
struct CodedShared : Shared<heads, blocks> {
  using Base = Shared<heads, blocks>;
  static constexpr int slots = blocks < 8 ? 8 : heads < 32 ? 6 : 4;  // of a warp, on their way or read
  static constexpr int codes = (Base::bytes + 127) / 128 * 128,
                       arrived = codes + kDecodeWarps * slots * Own::slot_bytes,
                       scales = arrived + kDecodeWarps * slots * 8;  // [warps, stages, tokens, pitch]
  static_assert(scales % 16 == 0 &&
                scales + kScaleStages * kTile * 16 <= 227 * 1024);  // four scales of float32
  static __host__ __device__ int all_bytes(const CodedTokens& c) {
    return scales + kScaleStages * kTile * Own::scale_pitch(c);
  }
};

// A warp that decodes.
template <LatentCode code, int heads, int blocks>
struct Feeder {
  using At = CodedShared<heads, blocks>;
  static constexpr int columns = blocks / 2;  // slots of a tile

  // Of the tiles of the block's part the n-th, and which 128 of its columns.
  struct Place {
    int n = 0, column = 0;
    __device__ void advance() {
      if (++column == columns) ++n, column = 0;
    }
  };

  const CodedMaps& maps;
  const Own own;
  const TokenRange tiles;
  char* memory;
  uint32_t shared;

  __device__ int n_tiles() const { return max(0, tiles.last - tiles.first); }
  __device__ uint32_t arrived(int slot) const {
    return shared + At::arrived + 8 * (own.warp * At::slots + slot);
  }
  __device__ int codes(int slot) const { return At::codes + (own.warp * At::slots + slot) * Own::slot_bytes; }
  __device__ char* tile(int n) const { return memory + At::tiles + n % kGroups * At::all * kBlockBytes; }
  __device__ char* scales(int n) const {
    const int pitch = Own::scale_pitch(own.c) * Own::tokens;
    return memory + At::scales + (own.warp * kScaleStages + n % kScaleStages) * pitch;
  }
  __device__ static int barrier_of(int n, int block) { return 8 * (n % kGroups * At::all + block); }
  __device__ void wait_free(int n, int block) const {
    wait(shared + At::free + barrier_of(n, block), (n / kGroups & 1) ^ 1);
  }

  // Into a slot that is empty what comes `at`. One lane.
  __device__ void fetch_codes(const Place& at, int slot) const {
    const uint32_t barrier = arrived(slot);
    const int row = own.first_token(tiles.first + at.n) - own.gap;
    expect_bytes(barrier, Own::slot_bytes);
    fetch(shared + codes(slot), &maps.codes, at.column * kSlotColumns, row, static_cast<int>(blockIdx.z),
          barrier);
  }
  // One lane of the block.
  __device__ void fetch_rest(int n) const {
    const uint32_t full = shared + At::full + barrier_of(n, blocks);
    const int row = (tiles.first + n) * kTile - own.gap;
    wait_free(n, blocks);
    expect_bytes(full, kBlockBytes);
    fetch(shared + At::tiles + (n % kGroups * At::all + blocks) * kBlockBytes, &maps.rest, maps.rest_x, row,
          static_cast<int>(blockIdx.z), full);
  }
  __device__ void fetch_scales(int n) const {
    if (n < n_tiles()) own.copy_scales(blockIdx.z, tiles.first + n, scales(n));
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  // Fills the slots; returns what comes then.
  __device__ Place begin() const {
    Place next;
    for (int slot = 0; slot < At::slots && next.n < n_tiles(); ++slot) {
      if (own.lane == 0) fetch_codes(next, slot);
      next.advance();
    }
    if (own.warp == 0 && own.lane == 0 && n_tiles() > 0) fetch_rest(0);
    fetch_scales(0);
    return next;
  }

  __device__ void run() const {
    Place next = begin();
    int slot = 0, parity = 0;
    for (int n = 0; n < n_tiles(); ++n) {
      fetch_scales(n + 1);  // over those of tile n - 1, which all lanes have left
      asm volatile("cp.async.wait_group 1;" ::: "memory");
      __syncwarp();
#pragma unroll 1
      for (int column = 0; column < columns; ++column) {
        wait_free(n, 2 * column + 1);  // each warp has freed the block before that one before
        wait(arrived(slot), parity);
        own.template decode<code>(tiles.first + n, column, memory + codes(slot), scales(n), tile(n));
        show_to_matrix_unit();
        __syncwarp();
        if (own.lane == 0) {
          for (int block = 2 * column; block < 2 * column + 2; ++block)
            arrive_if(true, shared + At::full + barrier_of(n, block));
          if (next.n < n_tiles()) fetch_codes(next, slot);
          if (own.warp == 0 && column == (columns - 1) / 2 && n + 1 < n_tiles()) fetch_rest(n + 1);
        }
        __syncwarp();
        next.advance();
        if (++slot == At::slots) slot = 0, parity ^= 1;
      }
    }
  }
};

template <LatentCode code, int heads, int blocks>
__global__ void __launch_bounds__(kThreads, 1)
    look_coded(const __grid_constant__ CodedMaps maps, const __grid_constant__ CodedTokens coded,
               LatentQueryLayout l, const Bf16* q, const bool* mask, LatentOut out) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using At = CodedShared<heads, blocks>;
  extern __shared__ __align__(1024) char memory[];
  const uint32_t shared = shared_address(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x < kGroups * At::all) {
    init_barrier(shared + At::full + 8 * threadIdx.x, threadIdx.x % At::all < blocks ? kDecodeWarps : 1);
    init_barrier(shared + At::free + 8 * threadIdx.x, 4);
  }
  if (threadIdx.x < kDecodeWarps * At::slots) init_barrier(shared + At::arrived + 8 * threadIdx.x, 1);
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  const TokenRange tokens =
      visible_tokens(l, mask, blockIdx.z, reinterpret_cast<TokenRange*>(memory + At::range));
  const TokenRange tiles = tiles_of_part(l, tokens, kTile);
  __syncthreads();
  if (warp >= kGroups * 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kDecodeRegisters));
    const int gap = coded.gaps ? coded.gaps[blockIdx.z] : 0;
    const Feeder<code, heads, blocks> feeder{
        maps, {coded, l.R, warp - kGroups * 4, lane, static_cast<int>(l.S), gap}, tiles, memory, shared};
    feeder.run();
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kGroupRegisters));
    look_at_tiles<heads, blocks>(l, q, mask, tiles, memory, out, [&](int c, int i) {
      return c == blocks ? l.R + i : c * kBlock + i < l.R ? c * kBlock + i : l.W;
    });
  }
#endif
}

bool map_tokens(const LatentQueryLayout& l, const CodedTokens& c, CodedMaps& maps) {
  const auto stride = [&](const TokenBytes& part) { return l.B == 1 ? c.rows * part.t : part.b; };
  const TokenBytes& rest = c.rest.bytes > 0 ? c.rest : c.codes;
  const int numbers = rest.bytes / 2;
  maps.rest_x = c.rest.bytes > 0 ? 0 : numbers;
  return make_map({CU_TENSOR_MAP_DATA_TYPE_UINT8, c.codes.at, l.R, c.rows, l.B, c.codes.t, stride(c.codes),
                   kSlotColumns, Own::tokens, CU_TENSOR_MAP_SWIZZLE_NONE},
                  maps.codes) &&
         make_map({CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, rest.at, numbers, c.rows, l.B, rest.t, stride(rest),
                   kBlock, kTile, CU_TENSOR_MAP_SWIZZLE_128B},
                  maps.rest);
}

// What the copy engine asks of strides and addresses; rows that lie on one another it may not take.
bool takes_part(const LatentQueryLayout& l, const TokenBytes& part) {
  return part.bytes == 0 || (part.step == 16 && part.t >= part.bytes && (l.B == 1 || part.b > 0));
}

template <LatentCode code>
cudaError_t launch(const LatentQueryLayout& l, const LatentPointers& in, const LatentOut& out,
                   const CudaDevice& device, cudaStream_t stream) {
  CodedMaps maps;
  return with_sizes(l, [&](auto heads, auto blocks) {
    const int bytes = CodedShared<heads(), blocks()>::all_bytes(in.coded);
    if (bytes > device.shared_bytes || !map_tokens(l, in.coded, maps)) return cudaErrorNotSupported;
    return start(look_coded<code, heads(), blocks()>, l, heads(), kThreads, bytes, stream, maps, in.coded, l,
                 static_cast<const Bf16*>(in.q), in.mask, out);
  });
}

}  // namespace

cudaError_t latent_coded_hopper(const LatentQueryLayout& l, const LatentPointers& in, const LatentOut& out,
                                const CudaDevice& device, cudaStream_t stream) {
  const CodedTokens& c = in.coded;
  if (in.pages || l.W - l.R > kBlock || c.rows == 0 || !takes_part(l, c.codes) || !takes_part(l, c.rest))
    return cudaErrorNotSupported;
  return c.code == LatentCode::fp8 ? launch<LatentCode::fp8>(l, in, out, device, stream)
                                   : launch<LatentCode::int8>(l, in, out, device, stream);
}

}  // namespace attnlab::cuda
