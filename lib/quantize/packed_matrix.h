// The hub's "gptq" layout of a quantised matrix W [O, I]: b bits a number, in 32-bit words. b bits of value i
// stand at bits b·i of a row of words, least first, so that 3 bits cross words.
//
//   qweight  int32   [I·b/32, O]   along the inputs
//   qzeros   int32   [C, O·b/32]   along the outputs, of zero - 1 ("gptq") or zero ("gptq_v2")
//   scales   float16 [C, O]
//   g_idx    int32   [I]           the group of each input
//
// ŵ = scales[g_idx] (q - zero). Zero points are masked to b bits, so that the -1 that stands for a zero of 0 in
// the first layout is read as 0; AutoGPTQ reads it as 2^b. What is written here has none
// (GridOptions::least_zero).
#pragma once

#include <cstdint>
#include <vector>

#include "quantize/gptq.h"
#include "quantize/matrix_packing.h"
#include "tensor/torch.h"

namespace attnlab {

struct PackedMatrix {
  torch::Tensor qweight, qzeros, scales, g_idx;
  // Undefined, or int32 [I]: qweight's words hold the inputs group by group (sort_columns), the i-th of them
  // being the input order[i]. The other parts are as in files.
  torch::Tensor order = {};
};

// What stands in memory and files for a matrix: name, shape, whether whole numbers.
struct PackedPart {
  const char* name;
  std::vector<int64_t> shape;
  bool integers;
};
// In the order of PackedMatrix. `in` and `out` divide by 32.
std::vector<PackedPart> packed_parts(const MatrixPacking& packing, int64_t in, int64_t out);
// Whether a tensor's name ends as one of them does (".qweight").
bool is_packed_part(std::string_view name);
bool is_packed_integer(std::string_view name);

// Words of numbers below 2^bits [32 n, M] along the first dimension: int32 [bits · n, M]; and back, int32.
torch::Tensor pack_words(const torch::Tensor& values, int64_t bits);
torch::Tensor unpack_words(const torch::Tensor& words, int64_t bits);

// Where columns of a group lie anywhere: the same matrix with the words of its inputs in the order of their
// groups (inputs of a group keep theirs), in new memory, so that a kernel meets each group once. As it was
// where they lie in order, or where a group but the last has not group_size inputs.
PackedMatrix sort_columns(const PackedMatrix& packed, const MatrixPacking& packing);
// qweight as files have it, whatever the order in memory.
torch::Tensor stored_words(const PackedMatrix& packed, int64_t bits);

// The zero points [C, O], int32.
torch::Tensor packed_zeros(const PackedMatrix& packed, const MatrixPacking& packing);

PackedMatrix pack(const QuantizedMatrix& matrix, const MatrixPacking& packing);
QuantizedMatrix unpack(const PackedMatrix& packed, const MatrixPacking& packing);

// x Wᵀ (+ bias [O]) for x [..., I], W dequantised in pieces of its outputs, in x's format; scales count in
// float32. On a GPU with kernels (kernels/packed.h) products of few rows dequantise on the way.
torch::Tensor packed_linear(const torch::Tensor& x, const PackedMatrix& packed, const MatrixPacking& packing,
                            const torch::Tensor& bias = {});
// The same of matrices that are packed alike, their outputs behind each other [..., Σ O]; biases are those of
// all, or none. Undefined where no kernel takes them as one.
torch::Tensor packed_linear_of_all(const torch::Tensor& x, const std::vector<PackedMatrix>& matrices,
                                   const MatrixPacking& packing, const std::vector<torch::Tensor>& biases);
// W itself, [O, I].
torch::Tensor packed_weight(const PackedMatrix& packed, const MatrixPacking& packing, torch::ScalarType dtype);

}  // namespace attnlab
