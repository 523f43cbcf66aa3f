// Quantisers against plain loops in double precision.
#include "state/quantise.h"

#include <cmath>

#include "catch.h"

namespace attnlab::test {
namespace {

constexpr int64_t kRows = 5, kNumbers = 24;

torch::Tensor some_numbers() {
  torch::manual_seed(3);
  auto x = torch::randn({kRows, kNumbers}, torch::kFloat64) * 3;
  x[1].narrow(0, 0, 8).fill_(-2.5);  // a constant group
  x[2].narrow(0, 8, 8).zero_();
  return x;
}

TEST_CASE("affine codes are the nearest of the levels between minimum and maximum") {
  const auto x = some_numbers();
  for (const int64_t bits : {1, 2, 3, 4, 8})
    for (const int64_t group : {2, 8, 24}) {
      const Affine coded = quantise_affine(x, bits, group);
      const auto read = read_affine(coded, torch::kFloat64);
      for (int64_t row = 0; row < kRows; ++row)
        for (int64_t g = 0; g < kNumbers / group; ++g) {
          double least = 1e300, most = -1e300;
          for (int64_t i = 0; i < group; ++i) {
            least = std::min(least, x[row][g * group + i].item<double>());
            most = std::max(most, x[row][g * group + i].item<double>());
          }
          const double levels = std::pow(2, bits) - 1, scale = (most - least) / levels;
          for (int64_t i = 0; i < group; ++i) {
            const double value = x[row][g * group + i].item<double>();
            const double code = scale == 0 ? 0 : std::nearbyint((value - least) / scale);
            CHECK(coded.codes[row][g * group + i].item<int64_t>() == static_cast<int64_t>(code));
            // Two roundings of numbers of this size.
            CHECK(std::abs(read[row][g * group + i].item<double>() - (code * scale + least)) <= 1e-14);
          }
        }
    }
}

TEST_CASE("symmetric codes and fp8 err by half a step of their group's largest number") {
  const auto x = some_numbers();
  const auto largest = x.view({kRows, 3, 8}).abs().amax(-1, true);
  const auto int8_error =
      (read_symmetric(quantise_symmetric(x, 8), torch::kFloat64) - x).abs().view({kRows, 3, 8});
  CHECK((int8_error <= largest / 127 / 2 * (1 + 1e-12)).all().item<bool>());
  for (const auto kind : {Fp8Scales::amax, Fp8Scales::power_of_two, Fp8Scales::one}) {
    const auto scales = fp8_scales(x, 8, kind);
    const auto read = from_fp8(to_fp8(x, scales), scales, torch::kFloat64);
    // Three bits behind the leading one; below 2^-6 steps of 2^-9.
    const auto bound = x.abs() / 16 + scales.repeat_interleave(8, 1) * std::exp2(-10);
    CHECK(((read - x).abs() <= bound * (1 + 1e-6)).all().item<bool>());
  }
  const auto powers = fp8_scales(x, 8, Fp8Scales::power_of_two);
  CHECK(torch::equal(torch::log2(powers), torch::log2(powers).round()));
  const auto needed = torch::maximum(largest.squeeze(-1) / 448, torch::full({}, 1e-4, torch::kFloat64));
  CHECK((powers >= needed).logical_and(powers < 2 * needed).all().item<bool>());
}

TEST_CASE("fp8 clamps what is beyond its range") {
  const auto one = torch::ones({1});
  const auto read = from_fp8(to_fp8(torch::tensor({1e6f, -1e6f, 448.f, 460.f}), one), one, torch::kFloat32);
  CHECK(torch::equal(read, torch::tensor({448.f, -448.f, 448.f, 448.f})));
}

TEST_CASE("codes are packed with the first in the lowest bits, at any width and number") {
  for (int64_t bits = 1; bits <= 8; ++bits)
    for (const int64_t n : {1, 5, 8, 23}) {
      const auto codes = torch::randint(0, 1 << bits, {3, n}, torch::kUInt8);
      const auto packed = pack_bits(codes, bits);
      CHECK(packed.size(1) == packed_size(n, bits));
      CHECK(packed.size(1) < (n * bits + 7) / 8 + bits);
      CHECK(torch::equal(unpack_bits(packed, bits, n), codes));
      if (bits < 8 && n > 1) {
        const auto two = codes[0][0].item<int64_t>() + (codes[0][1].item<int64_t>() << bits);
        CHECK((two & 255) == (packed[0][0].item<int64_t>() & (2 * bits < 8 ? (1 << 2 * bits) - 1 : 255)));
      }
    }
}

}  // namespace
}  // namespace attnlab::test
