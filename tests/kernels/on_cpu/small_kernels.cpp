#include <type_traits>

#include "cuda_block.h"
#include "kernels/capped_softmax.cuh"
#include "kernels/latent_heads.cuh"
#include "kernels/latent_join.cuh"
#include "kernels/latent_step.cuh"
#include "kernels/output_gate.cuh"
#include "kernels/paired_softmax.cuh"
#include "kernels/rms_norm.cuh"
#include "kernels/short_conv.cuh"
#include "kernels_on_cpu.h"

namespace attnlab::test {
namespace {

namespace conv = cuda::conv;
namespace paired = cuda::paired;

constexpr int kTokens = 4;

template <class Kernel>
void over_rows(int64_t rows, const Kernel& kernel) {
  constexpr int64_t of_block = paired::kThreads / paired::kWarp;
  CpuBlock::run(static_cast<unsigned>((rows + of_block - 1) / of_block), paired::kThreads, kernel);
}

conv::Sizes sizes_of(const ConvOnCpu& z) { return {z.B, z.T, z.C, z.run, (z.T + z.run - 1) / z.run, z.T}; }

template <class Kernel>
void over_channels(const conv::Sizes& z, const Kernel& kernel) {
  const int64_t threads = z.C / conv::kPack * z.B * z.runs;
  CpuBlock::run(static_cast<unsigned>((threads + conv::kThreads - 1) / conv::kThreads), conv::kThreads, kernel);
}

}  // namespace

void capped_softmax_on_cpu(const cuda::CappedRows& rows, const float* scores, const float* dweights,
                           float* weights, float* dscores) {
  constexpr int64_t of_block = cuda::capped::kThreads / cuda::capped::kWarp;
  CpuBlock::run(static_cast<unsigned>((rows.rows + of_block - 1) / of_block), cuda::capped::kThreads,
                [&] { cuda::capped::weights(rows, scores, dweights, weights, dscores); });
}

void paired_softmax_on_cpu(const float* y, float* out, int64_t rows, int width, float least) {
  over_rows(rows, [&] { paired::forward<2>(y, out, rows, width, least); });
}

void paired_softmax_backward_on_cpu(const float* out, const float* dout, float* dy, int64_t rows, int width,
                                    float least) {
  over_rows(rows, [&] { paired::backward<2>(out, dout, dy, rows, width, least); });
}

void short_conv_on_cpu(const ConvOnCpu& z, float* y) {
  const auto sizes = sizes_of(z);
  over_channels(sizes, [&] { conv::forward<kTokens>(sizes, z.x, z.w, z.bias, z.begins, y); });
}

void short_conv_backward_on_cpu(const ConvOnCpu& z, const float* dy, float* dx, float* partial) {
  const auto sizes = sizes_of(z);
  over_channels(sizes, [&] { conv::backward_inputs<kTokens>(sizes, z.w, dy, z.begins, dx); });
  over_channels(sizes, [&] { conv::backward_weights<kTokens>(sizes, z.x, dy, z.begins, partial); });
}

namespace {

template <class Kernel>
void over_packs(const GateOnCpu& z, const Kernel& kernel) {
  const int64_t packs = z.rows * z.width / cuda::gate::kPack, threads = cuda::gate::kThreads;
  CpuBlock::run(static_cast<unsigned>((packs + threads - 1) / threads), cuda::gate::kThreads, kernel);
}

}  // namespace

void output_gate_on_cpu(const GateOnCpu& z, float* out) {
  over_packs(z, [&] { cuda::gate::forward<float>({z.rows, z.width, z.z_row}, z.y, z.z, out); });
}

void output_gate_backward_on_cpu(const GateOnCpu& z, const float* dout, float* dy, float* dz) {
  over_packs(z, [&] { cuda::gate::backward<float>({z.rows, z.width, z.z_row}, z.y, z.z, dout, dy, dz); });
}

void latent_step_on_cpu(const cuda::LatentStepLayout& layout, const StepOnCpu& step) {
  constexpr int threads = cuda::token_step::kThreads;
  const auto blocks = layout.B * (1 + cuda::blocks_for_queries(layout, threads));
  CpuBlock::run(static_cast<unsigned>(blocks), threads, [&] {
    cuda::token_step::forward(layout, step.q, step.kv, step.weight, step.cos, step.sin, step.q_out, step.out);
  });
}

void join_latent_on_cpu(const PartsOnCpu& z) {
  namespace join = cuda::latent_join;
  const cuda::LatentOut place{reinterpret_cast<cuda::LatentPartial*>(z.partials), z.values,
                              reinterpret_cast<__nv_bfloat16*>(z.out)};
  join::with_most(z.parts, [&](auto most) {
    CpuBlock::run({static_cast<unsigned>(z.rows), join::Sizes<most()>::blocks_of_row(z.R)}, join::kThreads,
                  [&] { join::put_together<most()>(z.parts, z.R, place); });
  });
}

void few_rows_norm_on_cpu(cuda::Format format, cuda::Format added_format, const cuda::NormRows& rows,
                          const NormOnCpu& at) {
  cuda::with_type(format, [&](auto* type) {
    cuda::with_type(added_format, [&](auto* added_type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using A = std::remove_pointer_t<decltype(added_type)>;
      cuda::norm::with_packs<T>(rows.width, [&](auto n, auto packs) {
        CpuBlock::run(static_cast<unsigned>(rows.rows), cuda::norm::threads_of_few(rows.width, n), [&] {
          cuda::norm::forward_few<T, A, n(), packs()>(
              rows, static_cast<const T*>(at.x), static_cast<const A*>(at.added),
              static_cast<const T*>(at.weight), static_cast<T*>(at.stream), static_cast<T*>(at.normed), at.r);
        });
      });
    });
  });
}

namespace {

namespace latent_heads = cuda::latent_heads;

// kernel(numbers of a pack, pointers), a thread for each of threads(pack).
template <class Threads, class Kernel>
void over_heads(cuda::Format format, cuda::Format tables, const cuda::LatentHeadsPointers& at,
                const Threads& threads, const Kernel& kernel) {
  cuda::with_type(format, [&](auto* type) {
    cuda::with_type(tables, [&](auto* table_type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using Table = std::remove_pointer_t<decltype(table_type)>;
      const std::integral_constant<int, 16 / sizeof(T)> n{};
      const auto pointers = latent_heads::typed<T, Table>(at);
      constexpr int64_t of_block = latent_heads::kThreads;
      CpuBlock::run(static_cast<unsigned>((threads(n) + of_block - 1) / of_block), latent_heads::kThreads,
                    [&] { kernel(n, pointers); });
    });
  });
}

}  // namespace

void latent_heads_on_cpu(cuda::Format format, cuda::Format tables, const cuda::LatentHeadsLayout& z,
                         const cuda::LatentHeadsPointers& at) {
  over_heads(
      format, tables, at, [&](int n) { return z.B * z.T * cuda::forward_threads(z, n); },
      [&]<class T, class Table>(auto n, const latent_heads::Pointers<T, Table>& pointers) {
        latent_heads::forward<T, Table, n>(z, pointers);
      });
}

void latent_heads_backward_on_cpu(cuda::Format format, cuda::Format tables, const cuda::LatentHeadsLayout& z,
                                  const cuda::LatentHeadsPointers& at) {
  over_heads(
      format, tables, at,
      [&](int n) { return z.B * z.T * (cuda::turns_of(z, n) + cuda::backward_threads(z, n)); },
      [&]<class T, class Table>(auto n, const latent_heads::Pointers<T, Table>& pointers) {
        latent_heads::backward<T, Table, n>(z, pointers);
      });
}

}  // namespace attnlab::test
