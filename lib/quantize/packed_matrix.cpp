#include "quantize/packed_matrix.h"

#include <algorithm>

#include "core/errors.h"
#include "kernels/packed.h"
#include "kernels/parallel.h"

namespace attnlab {
namespace {

constexpr int64_t kWord = 32;
constexpr int64_t kWordMask = 0xffffffff;

// The same bits as a signed word.
torch::Tensor as_words(const torch::Tensor& bits64) {
  return torch::where(bits64 > 0x7fffffff, bits64 - (int64_t{1} << kWord), bits64).to(torch::kInt32);
}

// Dequantises the inputs `begin` to `end` of outputs `first` to `first + size` into rows of Wᵀ [I, size].
struct PieceOfWeight {
  const int32_t *qweight, *g_idx, *order;  // order: null, or which input stands where
  const float *scales, *zeros;             // [C, O]
  int64_t out, bits, first, size;
};

void fill(const PieceOfWeight& p, int64_t begin, int64_t end, float* into) {
  const uint32_t mask = (1U << p.bits) - 1;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t bit = i * p.bits, word = bit / kWord, shift = bit % kWord;
    const auto* low = reinterpret_cast<const uint32_t*>(p.qweight) + word * p.out + p.first;
    const int64_t input = p.order ? p.order[i] : i;
    const float* scale = p.scales + p.g_idx[input] * p.out + p.first;
    const float* zero = p.zeros + p.g_idx[input] * p.out + p.first;
    float* row = into + input * p.size;
    if (shift + p.bits <= kWord) {
      for (int64_t o = 0; o < p.size; ++o)
        row[o] = scale[o] * (static_cast<float>((low[o] >> shift) & mask) - zero[o]);
      continue;
    }
    const uint32_t* high = low + p.out;
    for (int64_t o = 0; o < p.size; ++o)
      row[o] =
          scale[o] * (static_cast<float>(((low[o] >> shift) | (high[o] << (kWord - shift))) & mask) - zero[o]);
  }
}

PackedTensors tensors_of(const PackedMatrix& packed, const MatrixPacking& packing) {
  const bool ordered = !packing.desc_act || packing.group_size == -1 || packed.order.defined();
  return {.qweight = packed.qweight,
          .qzeros = packed.qzeros,
          .scales = packed.scales,
          .g_idx = packed.g_idx,
          .order = packed.order,
          .bits = packing.bits,
          .group = ordered ? columns_of_group(packing.group_size, packed.g_idx.size(0)) : 0,
          .zero_offset = packing.zero_offset()};
}

bool is_made_by_kernel(torch::ScalarType dtype) {
  return dtype == torch::kFloat32 || dtype == torch::kBFloat16 || dtype == torch::kHalf;
}

// Calls with the first output of each piece and Wᵀ [I, outputs of the piece], in `dtype` or float32. A piece of
// some million numbers: small beside the matrices that are packed, large enough for the product.
template <class See>
void for_pieces(const PackedMatrix& packed, const MatrixPacking& packing, torch::ScalarType dtype,
                const See& see) {
  if (const auto tensors = tensors_of(packed, packing); has_packed_kernels(tensors))
    return see(0, dequantise_packed(tensors, is_made_by_kernel(dtype) ? dtype : torch::kFloat32));
  constexpr int64_t numbers = int64_t{1} << 22;
  const int64_t in = packed.g_idx.size(0), out = packed.scales.size(1);
  const int64_t size = std::clamp<int64_t>(numbers / std::max<int64_t>(in, 1), 1, out);
  const auto scales = packed.scales.to(torch::kFloat32).contiguous();
  const auto zeros = packed_zeros(packed, packing).to(torch::kFloat32).contiguous();
  if (!packed.qweight.is_cpu()) {
    const auto ints_IO = unpack_words(stored_words(packed, packing.bits), packing.bits);
    const auto group_I = packed.g_idx.to(torch::kInt64);
    see(0, scales.index_select(0, group_I) * (ints_IO - zeros.index_select(0, group_I)));
    return;
  }
  const auto qweight = packed.qweight.contiguous(), g_idx = packed.g_idx.contiguous();
  const auto* order = packed.order.defined() ? packed.order.const_data_ptr<int32_t>() : nullptr;
  for (int64_t first = 0; first < out; first += size) {
    const PieceOfWeight piece{.qweight = qweight.const_data_ptr<int32_t>(),
                              .g_idx = g_idx.const_data_ptr<int32_t>(),
                              .order = order,
                              .scales = scales.const_data_ptr<float>(),
                              .zeros = zeros.const_data_ptr<float>(),
                              .out = out,
                              .bits = packing.bits,
                              .first = first,
                              .size = std::min(size, out - first)};
    auto weight_IO = torch::empty({in, piece.size}, scales.options());
    in_parallel(in, 64, [&](int64_t begin, int64_t end) {
      fill(piece, begin, end, weight_IO.mutable_data_ptr<float>());
    });
    see(first, weight_IO);
  }
}

}  // namespace

std::vector<PackedPart> packed_parts(const MatrixPacking& packing, int64_t in, int64_t out) {
  const int64_t groups = groups_of(packing.group_size, in), b = packing.bits;
  return {{"qweight", {in * b / kWord, out}, true},
          {"qzeros", {groups, out * b / kWord}, true},
          {"scales", {groups, out}, false},
          {"g_idx", {in}, true}};
}

bool is_packed_integer(std::string_view name) {
  return name.ends_with(".qweight") || name.ends_with(".qzeros") || name.ends_with(".g_idx");
}

bool is_packed_part(std::string_view name) { return is_packed_integer(name) || name.ends_with(".scales"); }

torch::Tensor pack_words(const torch::Tensor& values, int64_t bits) {
  ATTNLAB_CHECK(values.dim() == 2 && values.size(0) % kWord == 0);
  const auto v = values.to(torch::kInt64).unflatten(0, {-1, kWord});
  auto words = torch::zeros({v.size(0), bits, v.size(2)}, v.options());
  for (int64_t i = 0; i < kWord; ++i) {
    const int64_t word = i * bits / kWord, shift = i * bits % kWord;
    const auto value = v.select(1, i);
    auto low = words.select(1, word);
    low.bitwise_or_(value.bitwise_left_shift(shift).bitwise_and(kWordMask));
    if (shift + bits > kWord) words.select(1, word + 1).bitwise_or_(value.bitwise_right_shift(kWord - shift));
  }
  return as_words(words.flatten(0, 1));
}

torch::Tensor unpack_words(const torch::Tensor& words, int64_t bits) {
  ATTNLAB_CHECK(words.dim() == 2 && words.size(0) % bits == 0);
  const int64_t mask = (int64_t{1} << bits) - 1;
  const auto w = words.to(torch::kInt64).bitwise_and(kWordMask).unflatten(0, {-1, bits});
  std::vector<torch::Tensor> values;
  for (int64_t i = 0; i < kWord; ++i) {
    const int64_t word = i * bits / kWord, shift = i * bits % kWord;
    auto value = w.select(1, word).bitwise_right_shift(shift);
    if (shift + bits > kWord) value = value.bitwise_or(w.select(1, word + 1).bitwise_left_shift(kWord - shift));
    values.push_back(value.bitwise_and(mask));
  }
  return torch::stack(values, 1).flatten(0, 1).to(torch::kInt32);
}

namespace {

// The i-th input of the result is the input from[i]. In pieces of outputs: unpacked numbers take 16 times the
// memory of 4 bits.
torch::Tensor with_inputs(const torch::Tensor& qweight, const torch::Tensor& from, int64_t bits) {
  constexpr int64_t numbers = int64_t{1} << 23;
  const int64_t out = qweight.size(1), size = std::clamp<int64_t>(numbers / from.size(0), 1, out);
  auto words = torch::empty_like(qweight, at::MemoryFormat::Contiguous);
  for (int64_t first = 0; first < out; first += size) {
    const int64_t n = std::min(size, out - first);
    const auto values = unpack_words(qweight.narrow(1, first, n), bits).index_select(0, from);
    words.narrow(1, first, n).copy_(pack_words(values, bits));
  }
  return words;
}

}  // namespace

PackedMatrix sort_columns(const PackedMatrix& packed, const MatrixPacking& packing) {
  if (!packing.desc_act || packing.group_size == -1 || packed.order.defined()) return packed;
  const torch::NoGradGuard no_grad;
  const int64_t in = packed.g_idx.size(0), columns = columns_of_group(packing.group_size, in);
  const auto order = torch::argsort(packed.g_idx, /*stable=*/true, 0, false);
  const auto in_order = torch::arange(in, packed.g_idx.options()).floor_divide(columns);
  if (!torch::equal(packed.g_idx.index_select(0, order), in_order)) return packed;
  PackedMatrix out = packed;
  out.qweight = with_inputs(packed.qweight, order, packing.bits);
  out.order = order.to(torch::kInt32);
  return out;
}

torch::Tensor stored_words(const PackedMatrix& packed, int64_t bits) {
  return packed.order.defined() ? with_inputs(packed.qweight, packed.order.argsort(), bits) : packed.qweight;
}

torch::Tensor packed_zeros(const PackedMatrix& packed, const MatrixPacking& packing) {
  const int64_t mask = (int64_t{1} << packing.bits) - 1;
  return (unpack_words(packed.qzeros.t(), packing.bits).t() + packing.zero_offset()).bitwise_and(mask);
}

PackedMatrix pack(const QuantizedMatrix& matrix, const MatrixPacking& packing) {
  const int64_t mask = (int64_t{1} << packing.bits) - 1;
  const auto stored_OC = (matrix.zeros_OC.to(torch::kInt64) - packing.zero_offset()).bitwise_and(mask);
  return {.qweight = pack_words(matrix.ints_OI.t(), packing.bits).contiguous(),
          .qzeros = pack_words(stored_OC, packing.bits).t().contiguous(),
          .scales = matrix.scales_OC.t().to(torch::kHalf).contiguous(),
          .g_idx = matrix.g_idx_I.to(torch::kInt32)};
}

QuantizedMatrix unpack(const PackedMatrix& packed, const MatrixPacking& packing) {
  return {.ints_OI =
              unpack_words(stored_words(packed, packing.bits), packing.bits).t().to(torch::kUInt8).contiguous(),
          .scales_OC = packed.scales.t().to(torch::kFloat32).contiguous(),
          .zeros_OC = packed_zeros(packed, packing).t().to(torch::kFloat32).contiguous(),
          .g_idx_I = packed.g_idx};
}

torch::Tensor packed_linear(const torch::Tensor& x, const PackedMatrix& packed, const MatrixPacking& packing,
                            const torch::Tensor& bias) {
  if (const auto tensors = tensors_of(packed, packing); fits_multiply_packed(x, tensors))
    return multiply_packed(x, tensors, bias);
  std::vector<torch::Tensor> pieces;
  for_pieces(packed, packing, x.scalar_type(), [&](int64_t, const torch::Tensor& weight_IO) {
    pieces.push_back(torch::matmul(x, weight_IO.to(x.scalar_type())));
  });
  const auto y = pieces.size() == 1 ? pieces[0] : torch::cat(pieces, -1);
  return bias.defined() ? y + bias.to(y.scalar_type()) : y;
}

torch::Tensor packed_linear_of_all(const torch::Tensor& x, const std::vector<PackedMatrix>& matrices,
                                   const MatrixPacking& packing, const std::vector<torch::Tensor>& biases) {
  ATTNLAB_CHECK(biases.empty() || biases.size() == matrices.size());
  std::vector<PackedFactor> factors;
  for (size_t i = 0; i < matrices.size(); ++i)
    factors.push_back({tensors_of(matrices[i], packing), biases.empty() ? torch::Tensor() : biases[i]});
  return fit_multiply_packed(x, factors) ? multiply_packed(x, factors) : torch::Tensor();
}

torch::Tensor packed_weight(const PackedMatrix& packed, const MatrixPacking& packing, torch::ScalarType dtype) {
  std::vector<torch::Tensor> pieces;
  for_pieces(packed, packing, dtype,
             [&](int64_t, const torch::Tensor& weight_IO) { pieces.push_back(weight_IO.t().to(dtype)); });
  return pieces.size() == 1 ? pieces[0].contiguous() : torch::cat(pieces, 0);
}

}  // namespace attnlab
