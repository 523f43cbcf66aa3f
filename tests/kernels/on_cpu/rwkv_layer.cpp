#include "cuda_block.h"
#include "kernels/rwkv_heads.cuh"
#include "kernels/token_mix.cuh"
#include "kernels_on_cpu.h"

namespace attnlab::test {
namespace {

namespace heads = cuda::heads;
namespace mix = cuda::mix;

template <class Kernel>
void over_channels(const cuda::conv::Sizes& z, const Kernel& kernel) {
  const int64_t threads = z.C / mix::kPack * z.B * z.runs;
  CpuBlock::run(static_cast<unsigned>((threads + mix::kThreads - 1) / mix::kThreads), mix::kThreads, kernel);
}

mix::Sizes sizes_of(const cuda::TokenMix& z) {
  return {z.B, z.T, z.C, cuda::kTokenMixRun, cuda::token_mix_runs(z.T), z.begins_b};
}
heads::Sizes sizes_of(const cuda::HeadRows& z) {
  return {1, z.rows, z.C, cuda::kHeadsRun, cuda::head_runs(z.rows), 0};
}
mix::Inputs<float> floats_of(const cuda::TokenMixInputs& in) {
  return {static_cast<const float*>(in.x), in.mu, static_cast<const float*>(in.m), in.begins};
}
template <int n, class T>
mix::Each<n, T> each_of(T* const* pointers) {
  mix::Each<n, T> out;
  for (int y = 0; y < n; ++y) out.of[y] = pointers[y];
  return out;
}
heads::Keys<float> floats_of(const cuda::Wkv7Keys& in) {
  return {static_cast<const float*>(in.k), static_cast<const float*>(in.w), static_cast<const float*>(in.a),
          in.vectors};
}
heads::Outputs<float> floats_of(const cuda::RwkvOutputs& in) {
  return {in.o,
          in.k,
          static_cast<const float*>(in.r),
          static_cast<const float*>(in.v),
          static_cast<const float*>(in.gate),
          in.vectors,
          in.eps};
}

}  // namespace

void token_mix_on_cpu(const cuda::TokenMix& z, const cuda::TokenMixInputs& in, float* const* out) {
  over_channels(sizes_of(z), [&] {
    if (z.n == 1)
      mix::forward<1, float>(sizes_of(z), floats_of(in), each_of<1>(out));
    else
      mix::forward<5, float>(sizes_of(z), floats_of(in), each_of<5>(out));
  });
}

void token_mix_backward_on_cpu(const cuda::TokenMix& z, const cuda::TokenMixInputs& in,
                               const float* const* upstream, float* dx, float* dm, float* partial) {
  over_channels(sizes_of(z), [&] {
    if (z.n == 1)
      mix::backward<1, float>(sizes_of(z), floats_of(in), each_of<1>(upstream), dx, dm, partial);
    else
      mix::backward<5, float>(sizes_of(z), floats_of(in), each_of<5>(upstream), dx, dm, partial);
  });
}

void prepare_wkv7_on_cpu(const cuda::HeadRows& z, const cuda::Wkv7Keys& in, const cuda::Wkv7Prepared& out) {
  over_channels(sizes_of(z), [&] { heads::prepare<float>(sizes_of(z), floats_of(in), out); });
}

void prepare_wkv7_backward_on_cpu(const cuda::HeadRows& z, const cuda::Wkv7Keys& in,
                                  const cuda::Wkv7Prepared& d, const cuda::Wkv7KeyGradients& out,
                                  float* partial) {
  over_channels(sizes_of(z), [&] {
    heads::prepare_backward<float>(sizes_of(z), floats_of(in), d, static_cast<float*>(out.k),
                                   static_cast<float*>(out.w), static_cast<float*>(out.a), partial);
  });
}

void rwkv6_decay_on_cpu(const cuda::HeadRows& z, const float* lora, const float* w0, float* w) {
  over_channels(sizes_of(z), [&] { heads::decay<float>(sizes_of(z), lora, w0, w); });
}

void rwkv6_decay_backward_on_cpu(const cuda::HeadRows& z, const float* lora, const float* w0, const float* dw,
                                 float* dlora, float* partial) {
  over_channels(sizes_of(z), [&] { heads::decay_backward<float>(sizes_of(z), lora, w0, dw, dlora, partial); });
}

void rwkv_output_on_cpu(const cuda::HeadRows& z, const cuda::RwkvOutputs& in, float* y) {
  over_channels(sizes_of(z), [&] {
    if (in.r)
      heads::output<true, float>(sizes_of(z), floats_of(in), y);
    else
      heads::output<false, float>(sizes_of(z), floats_of(in), y);
  });
}

void rwkv_output_backward_on_cpu(const cuda::HeadRows& z, const cuda::RwkvOutputs& in, const float* dy,
                                 const cuda::RwkvOutputGradients& d, float* partial) {
  const heads::OutputGradients<float> out{d.o, d.k, static_cast<float*>(d.r), static_cast<float*>(d.v),
                                          static_cast<float*>(d.gate)};
  over_channels(sizes_of(z), [&] {
    if (in.r)
      heads::output_backward<true, float>(sizes_of(z), floats_of(in), dy, out, partial);
    else
      heads::output_backward<false, float>(sizes_of(z), floats_of(in), dy, out, partial);
  });
}

}  // namespace attnlab::test
