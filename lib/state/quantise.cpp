#include "state/quantise.h"

#include <numeric>

#include "core/errors.h"

namespace attnlab {
namespace {

// [..., n] → [..., n / group, group], in a type wide enough to compute in.
torch::Tensor in_groups(const torch::Tensor& x, int64_t group) {
  ATTNLAB_CHECK(group > 0 && x.size(-1) % group == 0);
  const auto wide = x.scalar_type() == torch::kFloat64 ? x : x.to(torch::kFloat32);
  return wide.unflatten(-1, {x.size(-1) / group, group});
}

torch::Tensor beside_group(const torch::Tensor& of_group, const torch::Tensor& like) {
  return of_group.to(like.scalar_type()).unsqueeze(-1);
}

// What numbers are divided by: a group of zeros, or a constant one, has codes 0.
torch::Tensor divisor(const torch::Tensor& scale) {
  return torch::where(scale == 0, torch::ones_like(scale), scale);
}

// Numbers per group of a scale that stands beside codes.
int64_t group_of(const torch::Tensor& codes, const torch::Tensor& scale) {
  return scale.size(-1) == 0 ? 1 : codes.size(-1) / scale.size(-1);
}

torch::ScalarType wide_type(torch::ScalarType dtype) {
  return dtype == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
}

}  // namespace

Affine quantise_affine(const torch::Tensor& x, int64_t bits, int64_t group) {
  const auto grouped = in_groups(x, group);
  const auto levels = static_cast<double>((1 << bits) - 1);
  const auto least = grouped.amin(-1), most = grouped.amax(-1);
  const auto scale = ((most - least) / levels).to(x.scalar_type()), min = least.to(x.scalar_type());
  const auto places = (grouped - beside_group(min, grouped)) / divisor(beside_group(scale, grouped));
  return {places.clamp(0, levels).round().to(torch::kUInt8).flatten(-2), scale, min};
}

torch::Tensor read_affine(const Affine& coded, torch::ScalarType dtype) {
  const auto codes = in_groups(coded.codes.to(wide_type(dtype)), group_of(coded.codes, coded.scale));
  return (codes * beside_group(coded.scale, codes) + beside_group(coded.min, codes)).flatten(-2).to(dtype);
}

Symmetric quantise_symmetric(const torch::Tensor& x, int64_t group) {
  const auto grouped = in_groups(x, group);
  const auto scale = (grouped.abs().amax(-1) / 127).to(x.scalar_type());
  const auto codes = (grouped / divisor(beside_group(scale, grouped))).clamp(-127, 127).round();
  return {codes.to(torch::kInt8).flatten(-2), scale};
}

torch::Tensor read_symmetric(const Symmetric& coded, torch::ScalarType dtype) {
  const auto codes = in_groups(coded.codes.to(wide_type(dtype)), group_of(coded.codes, coded.scale));
  return (codes * beside_group(coded.scale, codes)).flatten(-2).to(dtype);
}

torch::Tensor to_fp8(const torch::Tensor& x, const torch::Tensor& scale) {
  const auto grouped = in_groups(x, group_of(x, scale));
  const auto clamped =
      (grouped / divisor(beside_group(scale, grouped))).clamp(-kLargestFp8, kLargestFp8).to(torch::kFloat32);
  return clamped.to(torch::kFloat8_e4m3fn).view(torch::kUInt8).flatten(-2);
}

torch::Tensor from_fp8(const torch::Tensor& bytes, const torch::Tensor& scale, torch::ScalarType dtype) {
  const auto numbers = bytes.view(torch::kFloat8_e4m3fn).to(torch::kFloat32).to(wide_type(dtype));
  const auto grouped = in_groups(numbers, group_of(bytes, scale));
  return (grouped * beside_group(scale, grouped)).flatten(-2).to(dtype);
}

torch::Tensor fp8_scales(const torch::Tensor& x, int64_t group, Fp8Scales kind) {
  const auto largest = in_groups(x, group).abs().amax(-1);
  switch (kind) {
    case Fp8Scales::one:
      return torch::ones_like(largest).to(x.scalar_type());
    case Fp8Scales::amax:
      return (largest / kLargestFp8).to(x.scalar_type());
    case Fp8Scales::power_of_two: {
      // m·2^e with m in [0.5, 1): 2^e, or 2^(e - 1) where that is the number itself.
      const auto [mantissa, exponent] = torch::frexp((largest / kLargestFp8).clamp_min(1e-4));
      const auto above = exponent - (mantissa == 0.5).to(exponent.scalar_type());
      return torch::exp2(above.to(largest.scalar_type())).to(x.scalar_type());
    }
  }
  return {};
}

namespace {

// Codes that fill whole bytes together, and the bytes.
struct Unit {
  int64_t codes, bytes;
};
Unit unit_of(int64_t bits) {
  const int64_t codes = 8 / std::gcd(int64_t{8}, bits);
  return {codes, codes * bits / 8};
}

// A unit's bits in one number.
torch::ScalarType word_of(const Unit& unit) { return unit.bytes < 4 ? torch::kInt32 : torch::kInt64; }

torch::Tensor shifts(int64_t count, int64_t bits, torch::ScalarType word, const torch::Tensor& like) {
  return torch::arange(count, torch::dtype(word).device(like.device())) * bits;
}

}  // namespace

int64_t packed_size(int64_t n, int64_t bits) {
  const auto [codes, bytes] = unit_of(bits);
  return (n + codes - 1) / codes * bytes;
}

torch::Tensor pack_bits(const torch::Tensor& codes, int64_t bits) {
  ATTNLAB_CHECK(bits >= 1 && bits <= 8 && codes.scalar_type() == torch::kUInt8);
  if (bits == 8) return codes;
  const Unit unit = unit_of(bits);
  const auto word = word_of(unit);
  const int64_t n = codes.size(-1), units = (n + unit.codes - 1) / unit.codes;
  const auto padded = torch::constant_pad_nd(codes, {0, units * unit.codes - n});
  const auto in_units = padded.unflatten(-1, {units, unit.codes}).to(word);
  const auto words = in_units.bitwise_left_shift(shifts(unit.codes, bits, word, codes)).sum(-1, true, word);
  const auto bytes = words.bitwise_right_shift(shifts(unit.bytes, 8, word, codes)).bitwise_and(255);
  return bytes.to(torch::kUInt8).flatten(-2);
}

torch::Tensor unpack_bits(const torch::Tensor& packed, int64_t bits, int64_t n) {
  if (bits == 8) return packed;
  const Unit unit = unit_of(bits);
  const auto word = word_of(unit);
  const auto in_units = packed.unflatten(-1, {packed.size(-1) / unit.bytes, unit.bytes}).to(word);
  const auto words = in_units.bitwise_left_shift(shifts(unit.bytes, 8, word, packed)).sum(-1, true, word);
  const auto codes =
      words.bitwise_right_shift(shifts(unit.codes, bits, word, packed)).bitwise_and((1 << bits) - 1);
  return codes.to(torch::kUInt8).flatten(-2).narrow(-1, 0, n);
}

}  // namespace attnlab
