#include <type_traits>

#include "cuda_block.h"
#include "kernels/selective_scan.cuh"
#include "kernels/wkv_scan.cuh"
#include "kernels_on_cpu.h"

namespace attnlab::test {
namespace {

template <class Kernel>
void run(const cuda::WkvSizes& z, const Kernel& kernel) {
  CpuBlock::run(static_cast<unsigned>(z.B * z.N * z.parts), cuda::wkv::kThreads, kernel);
}

template <bool delta>
void backward(const cuda::WkvSizes& z, const cuda::WkvInputs& in, const cuda::WkvResults& results,
              const cuda::WkvGradients& out) {
  run(z, [&] { cuda::wkv::columns_backward<delta>(z, in, results, out); });
  run(z, [&] { cuda::wkv::rows_forward<delta>(z, in, results, out); });
  run(z, [&] { cuda::wkv::rows_backward<delta>(z, in, results, out); });
}

}  // namespace

void wkv_scan_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in, const cuda::HeadsOut& o,
                     const cuda::HeadsOut& u, float* last) {
  run(sizes, [&] {
    if (in.delta)
      cuda::wkv::columns_forward<true>(sizes, in, o, u, last);
    else
      cuda::wkv::columns_forward<false>(sizes, in, o, u, last);
  });
}

void wkv_scan_backward_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in,
                              const cuda::WkvResults& results, const cuda::WkvGradients& out) {
  if (in.delta)
    backward<true>(sizes, in, results, out);
  else
    backward<false>(sizes, in, results, out);
}

namespace selective = cuda::selective;

void selective_scan_on_cpu(const cuda::ScanSizes& z, const cuda::ScanInputs& in, const cuda::ScanResults& out) {
  selective::with_form(z.S, [&](auto* form) {
    using F = std::remove_pointer_t<decltype(form)>;
    static selective::Tiles<F> tiles;
    CpuBlock::run(static_cast<unsigned>(z.all_blocks()), selective::kThreads, [&] {
      if (out.y.at)
        selective::forward<F, true>(z, in, out, tiles);
      else
        selective::forward<F, false>(z, in, out, tiles);
    });
  });
}

void selective_scan_backward_on_cpu(const cuda::ScanSizes& z, const cuda::ScanInputs& in,
                                    const cuda::ScanUpstream& upstream, const cuda::ScanGradients& out) {
  selective::with_form(z.S, [&](auto* form) {
    using F = std::remove_pointer_t<decltype(form)>;
    static selective::BackwardTiles<F> tiles;
    CpuBlock::run(static_cast<unsigned>(z.all_blocks()), selective::kThreads,
                  [&] { selective::backward<F>(z, in, upstream, out, tiles); });
  });
}

}  // namespace attnlab::test
