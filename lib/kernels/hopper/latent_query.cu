#include "kernels/hopper/latent_group.cuh"
#include "kernels/hopper/tensor_map.cuh"

// latent_query over bfloat16: a thread for each group keeps the copy engine busy.
namespace attnlab::cuda {
namespace {

constexpr int kThreads = (kGroups + 1) * kGroupThreads;
// At the start each thread has 168 of 65,536.
constexpr int kProducerRegisters = 40, kGroupRegisters = 232;

template <int heads, int blocks>
__device__ inline void produce(const LatentQueryLayout& l, const CUtensorMap* map, const int* pages, int group,
                               const TokenRange& tiles, uint32_t shared) {
  using At = Shared<heads, blocks>;
  const int b = static_cast<int>(blockIdx.z);
  const int64_t row = static_cast<int64_t>(b) * ((l.S + kTile - 1) / kTile);
  int turn = 0;
  for (int tile = tiles.first + group; tile < tiles.last; tile += kGroups, ++turn) {
    const int sequence = pages ? pages[row + tile] : b, token = pages ? 0 : tile * kTile;
    for (int i = 0; i < At::all; ++i) {
      const int c = i == 0 ? blocks : i - 1, slot = group * At::all + c;
      const uint32_t full = shared + At::full + 8 * slot;
      wait(shared + At::free + 8 * slot, (turn & 1) ^ 1);
      expect_bytes(full, kBlockBytes);
      fetch(shared + At::tiles + slot * kBlockBytes, map, c * kBlock, token, sequence, full);
    }
  }
}

template <int heads, int blocks>
__global__ void __launch_bounds__(kThreads, 1)
    look_hopper(const __grid_constant__ CUtensorMap map, LatentQueryLayout l, const Bf16* q, const bool* mask,
                const int* pages, LatentOut out) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using At = Shared<heads, blocks>;
  extern __shared__ __align__(1024) char memory[];
  const uint32_t shared = shared_address(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x < kGroups * At::all) {
    init_barrier(shared + At::full + 8 * threadIdx.x, 1);
    init_barrier(shared + At::free + 8 * threadIdx.x, 4);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  const TokenRange tokens =
      visible_tokens(l, mask, blockIdx.z, reinterpret_cast<TokenRange*>(memory + At::range));
  const TokenRange tiles = tiles_of_part(l, tokens, kTile);
  __syncthreads();
  if (warp >= kGroups * 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kProducerRegisters));
    const int group = warp - kGroups * 4;
    if (lane == 0 && group < kGroups) produce<heads, blocks>(l, &map, pages, group, tiles, shared);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kGroupRegisters));
    look_at_tiles<heads, blocks>(l, q, mask, tiles, memory, out, [](int c, int i) { return c * kBlock + i; });
  }
#endif
}

bool map_latent(const LatentQueryLayout& l, const LatentPointers& in, CUtensorMap& map) {
  const TokenMap of{CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                    in.latent,
                    l.W,
                    in.pages ? kTile : l.S,
                    in.pages ? in.n_pages : l.B,
                    2 * l.latent_t,
                    2 * l.latent_b,
                    kBlock,
                    kTile,
                    CU_TENSOR_MAP_SWIZZLE_128B};
  return make_map(of, map);
}

}  // namespace

cudaError_t latent_query_hopper(const LatentQueryLayout& l, const LatentPointers& in, const LatentOut& out,
                                cudaStream_t stream) {
  CUtensorMap map;
  if (!map_latent(l, in, map)) return cudaErrorInvalidValue;
  return with_sizes(l, [&](auto heads, auto blocks) {
    return start(look_hopper<heads(), blocks()>, l, heads(), kThreads, Shared<heads(), blocks()>::bytes, stream,
                 map, l, static_cast<const Bf16*>(in.q), in.mask, in.pages, out);
  });
}

}  // namespace attnlab::cuda
