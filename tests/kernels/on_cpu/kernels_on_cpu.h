// Kernels of lib/kernels, run on the CPU by their own source (cuda_block.h). Arguments as in cuda_kernels.h.
#pragma once

#include "kernels/capped_rows.h"
#include "kernels/few_rows_layout.h"
#include "kernels/latent_heads_layout.h"
#include "kernels/latent_step_layout.h"
#include "kernels/rms_norm_layout.h"
#include "kernels/rwkv_layout.h"
#include "kernels/scan_layout.h"
#include "kernels/wkv_layout.h"

namespace attnlab::test {

void wkv_scan_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in, const cuda::HeadsOut& o,
                     const cuda::HeadsOut& u, float* last);
void wkv_scan_backward_on_cpu(const cuda::WkvSizes& sizes, const cuda::WkvInputs& in,
                              const cuda::WkvResults& results, const cuda::WkvGradients& out);

void selective_scan_on_cpu(const cuda::ScanSizes& sizes, const cuda::ScanInputs& in,
                           const cuda::ScanResults& out);
void selective_scan_backward_on_cpu(const cuda::ScanSizes& sizes, const cuda::ScanInputs& in,
                                    const cuda::ScanUpstream& upstream, const cuda::ScanGradients& out);

// width ≤ 64, float32.
void paired_softmax_on_cpu(const float* y, float* out, int64_t rows, int width, float least);
void paired_softmax_backward_on_cpu(const float* out, const float* dout, float* dy, int64_t rows, int width,
                                    float least);

// float32; dweights and dscores may be null.
void capped_softmax_on_cpu(const cuda::CappedRows& rows, const float* scores, const float* dweights,
                           float* weights, float* dscores);

// K = 4, runs of `run` tokens, `begins` [B, T] or null; float32.
struct ConvOnCpu {
  int64_t B, T, C, run;
  const float *x, *w, *bias;
  const bool* begins;
};
void short_conv_on_cpu(const ConvOnCpu& conv, float* y);
void short_conv_backward_on_cpu(const ConvOnCpu& conv, const float* dy, float* dx, float* partial);

// float32; rows of `width` numbers, those of z z_row apart.
struct GateOnCpu {
  int64_t rows, width, z_row;
  const float *y, *z;
};
void output_gate_on_cpu(const GateOnCpu& gate, float* out);
void output_gate_backward_on_cpu(const GateOnCpu& gate, const float* dout, float* dy, float* dz);

// float32 in all places; n 1 or 5.
void token_mix_on_cpu(const cuda::TokenMix& sizes, const cuda::TokenMixInputs& in, float* const* out);
void token_mix_backward_on_cpu(const cuda::TokenMix& sizes, const cuda::TokenMixInputs& in,
                               const float* const* upstream, float* dx, float* dm, float* partial);
void prepare_wkv7_on_cpu(const cuda::HeadRows& rows, const cuda::Wkv7Keys& in, const cuda::Wkv7Prepared& out);
void prepare_wkv7_backward_on_cpu(const cuda::HeadRows& rows, const cuda::Wkv7Keys& in,
                                  const cuda::Wkv7Prepared& d, const cuda::Wkv7KeyGradients& out,
                                  float* partial);
void rwkv6_decay_on_cpu(const cuda::HeadRows& rows, const float* lora, const float* w0, float* w);
void rwkv6_decay_backward_on_cpu(const cuda::HeadRows& rows, const float* lora, const float* w0,
                                 const float* dw, float* dlora, float* partial);
void rwkv_output_on_cpu(const cuda::HeadRows& rows, const cuda::RwkvOutputs& in, float* y);
void rwkv_output_backward_on_cpu(const cuda::HeadRows& rows, const cuda::RwkvOutputs& in, const float* dy,
                                 const cuda::RwkvOutputGradients& d, float* partial);

// Bits of bfloat16; bias may be null.
struct RowsOnCpu {
  const uint16_t *x, *w, *bias;
  uint16_t* y;
};
void few_rows_on_cpu(const cuda::FewRowsLayout& layout, const RowsOnCpu& rows);

// x and y [rows, Σ out]: bits of bfloat16; the rest as in cuda_kernels.h.
struct PackedOnCpu {
  int bits, rows, in, group, count, multiprocessors;
  uint32_t zero_offset;
  const void* x;
  const int32_t *g_idx, *order;
  struct Matrix {
    const void *qweight, *qzeros, *scales, *bias;
    int out;
  } matrix[4];
  void* y;
};
void packed_products_on_cpu(const PackedOnCpu& product);

// float32, tables too.
struct StepOnCpu {
  const float *q, *kv, *weight, *cos, *sin;
  float *q_out, *out;
};
void latent_step_on_cpu(const cuda::LatentStepLayout& layout, const StepOnCpu& step);

// What `parts` parts of the tokens give for each of `rows` query heads, R numbers each: partials [rows, parts,
// 2] are their maxima and sums. out: bits of bfloat16.
struct PartsOnCpu {
  int64_t rows;
  int parts, R;
  float *partials, *values;
  uint16_t* out;
};
void join_latent_on_cpu(const PartsOnCpu& z);

// added, stream and r may be null.
struct NormOnCpu {
  const void *x, *added, *weight;
  void *stream, *normed;
  float* r;
};
void few_rows_norm_on_cpu(cuda::Format format, cuda::Format added_format, const cuda::NormRows& rows,
                          const NormOnCpu& at);

void latent_heads_on_cpu(cuda::Format format, cuda::Format tables, const cuda::LatentHeadsLayout& layout,
                         const cuda::LatentHeadsPointers& at);
void latent_heads_backward_on_cpu(cuda::Format format, cuda::Format tables,
                                  const cuda::LatentHeadsLayout& layout, const cuda::LatentHeadsPointers& at);

}  // namespace attnlab::test
