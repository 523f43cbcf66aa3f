// Launchers of the CUDA kernels, without torch: pointers to device memory, a stream. Arithmetic is float32 in
// every format; results are rounded once. Each returns cudaGetLastError after its launch.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/capped_rows.h"
#include "kernels/coded_tile.h"
#include "kernels/few_rows_layout.h"
#include "kernels/latent_heads_layout.h"
#include "kernels/latent_step_layout.h"
#include "kernels/packed_words.h"
#include "kernels/rms_norm_layout.h"
#include "kernels/rwkv_layout.h"
#include "kernels/scan_layout.h"
#include "kernels/wkv_layout.h"

namespace attnlab::cuda {

// out = silu(gate) · up over rows of `width` numbers, those of gate and up `inputs` numbers apart, and those of
// out side by side.
struct GatedRows {
  int64_t rows, width, inputs;
};
cudaError_t gated_silu(Format format, const GatedRows& rows, const void* gate, const void* up, void* out,
                       cudaStream_t stream);
// The gradients of gate and up from that of out; they lie as gate and up do.
cudaError_t gated_silu_backward(Format format, const GatedRows& rows, const void* gate, const void* up,
                                const void* dout, void* dgate, void* dup, cudaStream_t stream);

// [softmax(y), softmax(-y)] of rows of `width` numbers, each at least `least`: [rows, 2, width].
constexpr int64_t kMostPairedWidth = 256;
cudaError_t paired_softmax(const float* y, float* out, int64_t rows, int64_t width, float least,
                           cudaStream_t stream);
cudaError_t paired_softmax_backward(const float* out, const float* dout, float* dy, int64_t rows, int64_t width,
                                    float least, cudaStream_t stream);

// Weights softmax(cap · tanh(u)) of rows of scores u, 0 where hidden; with dweights (else null) also
// p (dp - Σ p dp) (1 - tanh²(u)), the gradient of cap · u. Scores and dweights are float32, `format` is of both
// results. Rows are contiguous.
cudaError_t capped_softmax(Format format, const CappedRows& rows, const float* scores, const float* dweights,
                           void* weights, void* dscores, cudaStream_t stream);

bool fits_rms_norm(Format format, int64_t width);
// Rows of `width` numbers, contiguous: stream = x + added (x alone where added is null, and nothing is
// written), normed = stream · r · weight with r = 1 / √(mean(stream²) + eps), of each row. added may be
// bfloat16 where x is float32. r: null, or [rows]. All start at multiples of 16 bytes.
struct NormInputs {
  const void *x, *added, *weight;
};
cudaError_t rms_norm(Format format, Format added_format, const NormRows& rows, const NormInputs& in,
                     void* stream, void* normed, float* r, cudaStream_t cuda_stream);
// dx: dstream (null: 0) and what comes through normed; null: not wanted. dweight: null, or summed over the rows
// in an order that n_parts decides, in `parts` [n_parts, width].
struct NormGradientInputs {
  const void *dnormed, *dstream, *stream, *weight;
  const float* r;
};
cudaError_t rms_norm_backward(Format format, const NormRows& rows, const NormGradientInputs& in, void* dx,
                              void* dweight, float* parts, int n_parts, cudaStream_t cuda_stream);

struct RotaryLayout {
  int64_t B, N, T, head_dim, rotary_dim;
  HeadsView in, out;
  int64_t table_b, table_t;  // strides of cos and sin, [B or 1, T or 1, rotary_dim]; 0 where 1
  bool in_pairs, out_pairs;  // neighbours turn, not halves; only where rotary_dim = head_dim
  bool backwards;            // by the negative angle
  // Into which row of `out` each of the B goes; null: b into row b.
  const int64_t* out_rows = nullptr;
};
// One tensor to be turned; all zero: none.
struct RotaryJob {
  RotaryLayout layout = {};
  const void* x = nullptr;
  void* out = nullptr;
};
// Two at a time, by the same tables.
cudaError_t rotate(Format format, Format tables, const RotaryJob& first, const RotaryJob& second,
                   const void* cos, const void* sin, cudaStream_t stream);

// One query of each of B · G · n heads, n of them to a KV head, over S tokens. Queries [B, G, n, key_width] and
// results [B, G, n, value_width] are contiguous; a token's numbers lie side by side. Widths are multiples of 8
// up to 256, and so are the strides of keys and values; these and the queries start at multiples of 8 numbers,
// up to 16 bytes.
struct SingleQueryLayout {
  int64_t B, G, n, S, key_width, value_width;
  HeadsView k, v, mask;  // t: the token; n: the KV head
  float scale, softcap;  // softcap 0: none
  int64_t part;          // tokens of a block: single_query_part
};
int64_t single_query_part(int64_t B, int64_t G, int64_t S, int multiprocessors);
// Numbers of float32.
int64_t single_query_workspace(const SingleQueryLayout& layout);
// mask: null, or true where the query may look; where it may look nowhere the result is 0.
cudaError_t single_query(Format format, const SingleQueryLayout& layout, const void* q, const void* k,
                         const void* v, const bool* mask, void* out, float* workspace, cudaStream_t stream);

// One query of each of N heads over the S tokens of a latent that all heads share: keys are the W numbers of a
// token, values the first R of them. bfloat16. Queries [B, N, W] and results [B, N, R] are contiguous; a
// token's numbers lie side by side. R and W are multiples of 16, R ≤ 512, W ≤ 64 numbers more than R rounded up
// to a multiple of 128; strides of the latent are multiples of 8, and it and the queries start at multiples of
// 16 bytes.
struct LatentQueryLayout {
  int64_t B, N, S;
  int R, W;
  int64_t latent_b, latent_t;  // strides, in numbers
  int64_t mask_b, mask_t;      // 0, 0 without a mask
  float scale, softcap;        // softcap 0: none
  int parts;                   // of a sequence, each taken by blocks of its own: latent_query_parts
};
constexpr int kLatentTile = 64;  // tokens of a page
struct LatentPointers {
  const void *q, *latent;  // null where `coded` says a code
  const bool* mask;        // null, or true where the query may look; where it may look nowhere the result is 0
  // null, or [B, ⌈S / 64⌉]: in which page of 64 tokens of `latent` those of a sequence stand; latent_b is then
  // the stride of a page.
  const int* pages;
  int64_t n_pages;
  CodedTokens coded = {};  // R numbers as codes and W - R others, without pages
};
struct CudaDevice {
  int multiprocessors;
  int capability;    // 10 · major + minor
  int shared_bytes;  // that a block may ask for
};
bool fits_latent_query(const LatentQueryLayout& layout, const CodedTokens& coded, const CudaDevice& device);
int latent_query_parts(int64_t B, int64_t N, int64_t S, int64_t token_bytes, const CudaDevice& device);
// Numbers of float32.
int64_t latent_query_workspace(const LatentQueryLayout& layout);
cudaError_t latent_query(const LatentQueryLayout& layout, const LatentPointers& in, void* out, float* workspace,
                         const CudaDevice& device, cudaStream_t stream);

// A decoding step between its projections and the look at the latent (latent_step.h). q [B, heads, rope], kv
// [B, rank + rope], cos and sin; weight: of the norm of `rank` numbers, or null. `out` has a row for each
// token.
struct LatentStepPointers {
  const void *q, *kv, *weight, *cos, *sin;
  void *q_out, *out;
};
cudaError_t latent_step(Format format, Format tables, const LatentStepLayout& layout,
                        const LatentStepPointers& at, cudaStream_t stream);

// MLA's queries and keys from their projections, and the gradients of these (latent_heads.h).
cudaError_t latent_heads_forward(Format format, Format tables, const LatentHeadsLayout& layout,
                                 const LatentHeadsPointers& at, cudaStream_t stream);
cudaError_t latent_heads_backward(Format format, Format tables, const LatentHeadsLayout& layout,
                                  const LatentHeadsPointers& at, cudaStream_t stream);

// For each of `rows` rows of `classes` logits z: losses[row] = -log softmax(cap(z))[target]; with `gradient`, z
// becomes d loss / d z. softcap c > 0: cap(z) = c · tanh(z / c).
cudaError_t cross_entropy(Format format, void* logits, const int64_t* targets, float* losses, int64_t rows,
                          int64_t classes, float softcap, bool gradient, cudaStream_t stream);

// A matrix [out, in] in the hub's packed layout (quantize/packed_matrix.h); qweight starts at a multiple of 16
// bytes, scales are half precision.
enum class PackedNumbers { float32, bfloat16, float16 };
struct PackedPointers {
  const void *qweight, *qzeros, *scales, *g_idx;
  const void* order;  // null, or which input stands where: int32
};
struct PackedLayout {
  int rows, in, out;  // rows of x; in and out are multiples of 32
  int bits;           // 2, 3, 4 or 8
  int group;          // columns of a group, groups in order; 0: g_idx says
  uint32_t zero_offset;
};
// Whether groups are in order, and their columns a multiple of a step's (64, 32, 32, 16 for 2, 3, 4, 8 bits).
bool groups_fill_steps(const PackedLayout& layout);

constexpr int kMostPackedRows = 16;
struct PackedFactor {
  PackedPointers pointers;
  const void* bias;  // null, or [out] in the format of x
  int out;           // a multiple of 32
};
// y [rows, Σ out] = x [rows, in] Wᵀ (+ bias) of 1 to kMostPackedFactors matrices that are packed alike, in one
// launch, for 1 to kMostPackedRows contiguous rows; not in float32. g_idx and order are the first's. order
// null: x, at a multiple of 16 bytes, has its inputs as they stand in qweight, and g_idx, too. Else x's one row
// is read in that order, and groups fill steps. Needs compute capability 8.0.
cudaError_t packed_products(PackedNumbers numbers, const PackedLayout& layout, const void* x,
                            const PackedFactor* factors, int count, void* y, int multiprocessors,
                            cudaStream_t stream);
// Wᵀ [in, out], scale · (q - zero) in float32, rounded once.
cudaError_t packed_dequantise(PackedNumbers numbers, const PackedLayout& layout, const PackedPointers& packed,
                              void* out, cudaStream_t stream);

// y = x Wᵀ + bias (few_rows.h), bfloat16, of 1 to few_rows::kMostRows rows. K and the strides of x and W are
// multiples of 8, both start at multiples of 16 bytes. Needs compute capability 8.0.
struct FewRowsPointers {
  const void *x, *w, *bias;  // bias: null, or [N]
};
cudaError_t few_rows_product(const FewRowsLayout& layout, const FewRowsPointers& in, void* y,
                             cudaStream_t stream);

// Mamba's recurrence (scan_layout.h). y and the gradients of x and step are float32.
bool fits_selective_scan(int64_t S, const CudaDevice& device);
cudaError_t selective_scan(const ScanSizes& sizes, const ScanInputs& in, const ScanResults& out,
                           cudaStream_t stream);
cudaError_t selective_scan_backward(const ScanSizes& sizes, const ScanInputs& in, const ScanUpstream& upstream,
                                    const ScanGradients& out, cudaStream_t stream);

// out = y ⊙ silu(z) over rows of `width` numbers, a multiple of 4, those of z z_row numbers apart, those of y
// and out side by side; y float32, z and out in `format`. All start at multiples of 16 bytes.
struct GateRows {
  int64_t rows, width, z_row;
};
cudaError_t output_gate(Format format, const GateRows& rows, const float* y, const void* z, void* out,
                        cudaStream_t stream);
// dz lies side by side.
cudaError_t output_gate_backward(Format format, const GateRows& rows, const float* y, const void* z,
                                 const void* dout, float* dy, void* dz, cudaStream_t stream);

// RWKV-6's and RWKV-7's recurrences. Heads start at multiples of 4 numbers and have strides that are. o; of
// RWKV-7 u_t = S_{t-1} a_t (float32); states behind the parts, [B, N, parts, 64, 64].
cudaError_t wkv_scan(const WkvSizes& sizes, const WkvInputs& in, const HeadsOut& o, const HeadsOut& u,
                     float* last, cudaStream_t stream);
cudaError_t wkv_scan_backward(const WkvSizes& sizes, const WkvInputs& in, const WkvResults& results,
                              const WkvGradients& out, cudaStream_t stream);

// y_t = Σ_j w_j x_{t-K+1+j} + b of C channels, a multiple of 4; x [B, T, C] in `format`, w [C, K], K from 2 to
// 4; y float32. bias: may be null. begins [B or 1, T]: a document begins, nothing of before is seen; null:
// none.
constexpr int64_t kConvRun = 32;  // tokens of a thread
inline int64_t short_conv_runs(int64_t T) { return (T + kConvRun - 1) / kConvRun; }
struct ShortConv {
  int64_t B, T, C, K;
  int64_t begins_b;  // stride of begins: T, or 0 for one row
};
cudaError_t short_conv(Format format, const ShortConv& sizes, const void* x, const float* w, const float* bias,
                       const bool* begins, float* y, cudaStream_t stream);
// dx [B, T, C] in `format`; partial [B · short_conv_runs(T), K + 1, C], whose sum is that of w by token, and of
// b.
cudaError_t short_conv_backward(Format format, const ShortConv& sizes, const void* x, const float* w,
                                const float* dy, const bool* begins, void* dx, float* partial,
                                cudaStream_t stream);

// RWKV's token shift: n results [B, T, C].
cudaError_t token_mix(Format format, const TokenMix& sizes, const TokenMixInputs& in, void* const* out,
                      cudaStream_t stream);
// upstream: of the n results. dm: null without m. partial [B · token_mix_runs(T), n, C], whose sum is mu's.
cudaError_t token_mix_backward(Format format, const TokenMix& sizes, const TokenMixInputs& in,
                               const void* const* upstream, void* dx, void* dm, float* partial,
                               cudaStream_t stream);

// What RWKV computes head by head before and behind its recurrence. partial [head_runs(rows), n, C]: its sum is
// that of the n vectors.
cudaError_t prepare_wkv7(Format format, const HeadRows& rows, const Wkv7Keys& in, const Wkv7Prepared& out,
                         cudaStream_t stream);
cudaError_t prepare_wkv7_backward(Format format, const HeadRows& rows, const Wkv7Keys& in,
                                  const Wkv7Prepared& d, const Wkv7KeyGradients& out, float* partial,
                                  cudaStream_t stream);
cudaError_t rwkv6_decay(Format format, const HeadRows& rows, const void* lora, const float* w0, float* w,
                        cudaStream_t stream);
cudaError_t rwkv6_decay_backward(Format format, const HeadRows& rows, const void* lora, const float* w0,
                                 const float* dw, void* dlora, float* partial, cudaStream_t stream);
cudaError_t rwkv_output(Format format, const HeadRows& rows, const RwkvOutputs& in, void* y,
                        cudaStream_t stream);
cudaError_t rwkv_output_backward(Format format, const HeadRows& rows, const RwkvOutputs& in, const void* dy,
                                 const RwkvOutputGradients& d, float* partial, cudaStream_t stream);

}  // namespace attnlab::cuda
