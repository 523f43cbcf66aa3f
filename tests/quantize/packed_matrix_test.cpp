// The hub's layout: its bits, its products, and what can't be meant.
#include "quantize/packed_matrix.h"

#include <nlohmann/json.hpp>

#include "catch.h"
#include "kernels/packed.h"
#include "quantize/packed_checks.h"
#include "reference/packed_twin.h"

namespace attnlab::test {
namespace {

TEST_CASE("words hold bits in the order of a number's places, 3 bits across words") {
  for (const int64_t bits : {2, 3, 4, 8}) {
    torch::manual_seed(bits);
    const auto values = torch::randint(0, int64_t{1} << bits, {64, 3}, torch::kInt32);
    const auto words = pack_words(values, bits);
    REQUIRE(words.size(0) == 2 * bits);
    // Bit by bit: bit k of value i is bit (bits i + k) of the column.
    for (int64_t column = 0; column < 3; ++column)
      for (int64_t i = 0; i < 64; ++i)
        for (int64_t k = 0; k < bits; ++k) {
          const int64_t at = bits * i + k;
          const auto word = static_cast<uint32_t>(words[at / 32][column].item<int32_t>());
          CHECK(((word >> (at % 32)) & 1U) ==
                ((static_cast<uint32_t>(values[i][column].item<int32_t>()) >> k) & 1U));
        }
    CHECK(torch::equal(unpack_words(words, bits), values));
  }
}

QuantizedMatrix some_matrix(const MatrixPacking& packing, int64_t in, int64_t out) {
  torch::manual_seed(3);
  const auto weight = torch::randn({out, in});
  auto m =
      round_to_nearest(weight, {.bits = packing.bits, .sym = packing.sym, .least_zero = 1}, packing.group_size);
  m.scales_OC = m.scales_OC.to(torch::kHalf).to(torch::kFloat32);
  return m;
}

TEST_CASE("a packed matrix multiplies as the one it stands for") {
  for (const int64_t bits : {2, 3, 4, 8})
    for (const int64_t group : {-1, 32, 24}) {
      MatrixPacking packing{.bits = bits, .group_size = group, .desc_act = true, .sym = false};
      auto m = some_matrix(packing, 96, 64);
      // Columns of a group anywhere, as act_order leaves them.
      const auto order = torch::randperm(96);
      m.g_idx_I = m.g_idx_I.index_select(0, order);
      m.ints_OI = m.ints_OI.index_select(1, order);
      const auto packed = pack(m, packing);
      const auto x = torch::randn({2, 5, 96});
      const auto expected = torch::matmul(x, dequantised(m).t());
      // Sums of 96 float32 products of size 1, in another order.
      CHECK((packed_linear(x, packed, packing) - expected).abs().max().item<double>() < 1e-4);
      CHECK(torch::equal(packed_weight(packed, packing, torch::kFloat32), dequantised(m)));
      const auto back = unpack(packed, packing);
      CHECK(torch::equal(back.ints_OI, m.ints_OI));
      CHECK(torch::equal(back.zeros_OC, m.zeros_OC));
      packing.format = PackedFormat::gptq_v2;
      CHECK(torch::equal(packed_weight(pack(m, packing), packing, torch::kFloat32), dequantised(m)));
    }
}

TEST_CASE("a wide matrix is dequantised in pieces and multiplies the same") {
  const MatrixPacking packing{.bits = 4, .group_size = 128};
  const auto m = some_matrix(packing, 4096, 1056);  // more than the 4 million numbers of a piece
  const auto packed = pack(m, packing);
  CHECK(torch::equal(packed_weight(packed, packing, torch::kFloat32), dequantised(m)));
}

// Any bits, so any zero points; scales around 0.01.
PackedMatrix random_bits(const MatrixPacking& packing, int64_t in, int64_t out) {
  const auto words = [](at::IntArrayRef shape) {
    return torch::randint(-(int64_t{1} << 31), int64_t{1} << 31, shape, torch::kInt64).to(torch::kInt32);
  };
  const int64_t groups = groups_of(packing.group_size, in), columns = columns_of_group(packing.group_size, in);
  auto g_idx = torch::arange(in, torch::kInt32).floor_divide(columns).to(torch::kInt32);
  if (packing.desc_act) g_idx = g_idx.index_select(0, torch::randperm(in));
  return {.qweight = words({in * packing.bits / 32, out}),
          .qzeros = words({groups, out * packing.bits / 32}),
          .scales = (0.01 + 0.003 * torch::randn({groups, out})).to(torch::kHalf),
          .g_idx = g_idx};
}

PackedMatrix on(const PackedMatrix& packed, torch::Device device) {
  const auto there = [&](const torch::Tensor& part) { return part.defined() ? part.to(device) : part; };
  return {.qweight = packed.qweight.to(device),
          .qzeros = packed.qzeros.to(device),
          .scales = packed.scales.to(device),
          .g_idx = packed.g_idx.to(device),
          .order = there(packed.order)};
}

// Bit for bit, but for what only says where things stand.
void check_same_matrix(const PackedMatrix& found, const PackedMatrix& expected, const MatrixPacking& packing) {
  CHECK(torch::equal(stored_words(found, packing.bits), expected.qweight));
  CHECK(torch::equal(found.qzeros, expected.qzeros));
  CHECK(torch::equal(found.scales, expected.scales));
  CHECK(torch::equal(found.g_idx, expected.g_idx));
  CHECK(torch::equal(packed_weight(found, packing, torch::kFloat32),
                     packed_weight(expected, packing, torch::kFloat32)));
  const auto back = unpack(found, packing), ints = unpack(expected, packing);
  CHECK(torch::equal(back.ints_OI, ints.ints_OI));
}

TEST_CASE("columns sorted by their groups stand for the same matrix, and files get the words that they had") {
  torch::manual_seed(8);
  for (const int64_t bits : {2, 3, 4, 8})
    for (const auto& [in, out, group] :
         std::vector<std::array<int64_t, 3>>{{96, 64, 32}, {160, 32, 24}, {64, 96, 128}, {4096, 2080, 128}}) {
      INFO("bits " << bits << " group " << group << " in " << in);
      const MatrixPacking packing{.bits = bits, .group_size = group, .desc_act = true, .sym = false};
      const auto packed = random_bits(packing, in, out), sorted = sort_columns(packed, packing);
      REQUIRE(sorted.order.defined());
      const auto groups = packed.g_idx.index_select(0, sorted.order);
      CHECK((groups.diff() >= 0).all().item<bool>());
      CHECK(torch::equal(std::get<0>(sorted.order.sort()), torch::arange(in, torch::kInt32)));
      CHECK(sorted.qweight.data_ptr() != packed.qweight.data_ptr());
      if (in > group) CHECK_FALSE(torch::equal(sorted.qweight, packed.qweight));
      check_same_matrix(sorted, packed, packing);
      const auto ints = unpack(packed, packing).ints_OI;
      CHECK(torch::equal(unpack_words(sorted.qweight, bits).t().to(torch::kUInt8),
                         ints.index_select(1, sorted.order)));
      const auto x = torch::randn({3, in});
      CHECK(torch::equal(packed_linear(x, sorted, packing), packed_linear(x, packed, packing)));
      CHECK(torch::equal(sort_columns(sorted, packing).qweight, sorted.qweight));
    }
}

TEST_CASE("columns stay where they are without a group that all but the last fill") {
  torch::manual_seed(9);
  MatrixPacking packing{.bits = 4, .group_size = 32, .desc_act = true, .sym = false};
  auto packed = random_bits(packing, 128, 32);
  packed.g_idx[5] = (packed.g_idx[5] + 1).remainder(4);
  CHECK_FALSE(sort_columns(packed, packing).order.defined());
  packing.group_size = -1;
  CHECK_FALSE(sort_columns(random_bits(packing, 128, 32), packing).order.defined());
  packing.group_size = 32, packing.desc_act = false;
  CHECK_FALSE(sort_columns(random_bits(packing, 128, 32), packing).order.defined());
}

// Half a unit in the last place, of a number.
double half_unit_of(torch::ScalarType dtype) {
  return dtype == torch::kHalf ? 1.0 / (1 << 11) : 1.0 / (1 << 8);
}

// What |x| |W|ᵀ is multiplied by for the greatest error of a product, beside half a unit of the result's last
// place. Sums: float32, on a GPU of tensor cores, which cut what is below the 24th bit: 16 products at a time,
// 16 times over a warp's eighth of the inputs at most, then over 16 warps. Weights rounded to x's format where
// `rounded`.
double error_of_products(torch::ScalarType dtype, int64_t in, bool rounded) {
  const double sums = static_cast<double>(in) / 128 + 64;
  return sums / (1 << 23) + (rounded ? half_unit_of(dtype) : 0);
}

void check_products(const MatrixPacking& packing, int64_t in, int64_t out, torch::Device device,
                    torch::ScalarType dtype, const std::vector<int64_t>& rows, bool sorted = false) {
  INFO("bits " << packing.bits << " group " << packing.group_size << " any order " << packing.desc_act
               << " shape " << out << " x " << in << " " << torch::toString(dtype));
  const auto packed = random_bits(packing, in, out),
             there = on(sorted ? sort_columns(packed, packing) : packed, device);
  const auto exact = naive_packed_weight(packed, packing);
  CHECK((packed_weight(there, packing, torch::kFloat32).cpu() - exact).abs().max().item<double>() <=
        exact.abs().max().item<double>() / (1 << 24));
  for (const int64_t B : rows) {
    INFO("rows " << B);
    const auto x = torch::randn({B, in}).to(dtype);
    const auto found = packed_linear(x.to(device), there, packing).cpu().to(torch::kFloat64);
    const auto wide = x.to(torch::kFloat64), expected = wide.matmul(exact.t());
    const auto limit = expected.abs() * half_unit_of(dtype) + 1e-6 +
                       wide.abs().matmul(exact.abs().t()) * error_of_products(dtype, in, true);
    const auto excess = (found - expected).abs() - limit;
    INFO("worst " << excess.max().item<double>());
    CHECK(excess.max().item<double>() <= 0);
    CHECK(found.isfinite().all().item<bool>());
  }
}

TEST_CASE("packed matrices of any bits are those of the layout read bit by bit") {
  torch::manual_seed(4);
  for (const int64_t bits : {2, 3, 4, 8})
    for (const auto format : {PackedFormat::gptq, PackedFormat::gptq_v2})
      check_products({.bits = bits, .group_size = 24, .desc_act = true, .sym = false, .format = format}, 96, 64,
                     torch::kCPU, torch::kBFloat16, {1, 3});
}

TEST_CASE("on a GPU sorted columns go back to the words that they had") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(10);
  for (const int64_t bits : {2, 3, 4, 8}) {
    const MatrixPacking packing{.bits = bits, .group_size = 128, .desc_act = true, .sym = false};
    const auto packed = on(random_bits(packing, 1056, 96), torch::kCUDA);
    const auto sorted = sort_columns(packed, packing);
    REQUIRE(sorted.order.defined());
    check_same_matrix(sorted, packed, packing);
  }
}

TEST_CASE("on a GPU a packed matrix multiplies few rows and many as in double precision") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(5);
  struct Case {
    int64_t in, out, group;
    bool anywhere;
  };
  for (const auto dtype : {torch::kBFloat16, torch::kHalf})
    for (const int64_t bits : {2, 3, 4, 8})
      for (const Case c : {Case{256, 4480, 128, false}, Case{96, 32, -1, false}, Case{1120, 64, 32, false},
                           Case{416, 96, 24, false}, Case{640, 160, 128, true}, Case{96, 64, 32, true},
                           Case{416, 96, 24, true}, Case{1120, 4512, 64, true}})
        for (const bool sorted : {false, true})
          if (c.anywhere || !sorted)
            check_products({.bits = bits, .group_size = c.group, .desc_act = c.anywhere, .sym = false}, c.in,
                           c.out, torch::kCUDA, dtype, {1, 2, 5, 7, 8, 9, 16, 17, 40}, sorted);
  for (const auto format : {PackedFormat::gptq, PackedFormat::gptq_v2})
    check_products({.bits = 4, .group_size = 128, .sym = false, .format = format}, 4096, 512, torch::kCUDA,
                   torch::kBFloat16, {1, 16});
}

// Whole numbers of 16 bits, scales in float32: errors are far below those of weights in bfloat16.
TEST_CASE("on a GPU products with groups in order round nothing but the result") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(6);
  for (const int64_t bits : {2, 3, 4, 8}) {
    INFO("bits " << bits);
    const MatrixPacking packing{.bits = bits, .group_size = 128, .sym = false};
    const auto packed = random_bits(packing, 1024, 256), there = on(packed, torch::kCUDA);
    const auto exact = naive_packed_weight(packed, packing);
    const auto x = torch::randn({5, 1024}).to(torch::kBFloat16);
    const auto found = packed_linear(x.cuda(), there, packing);
    const auto wide = x.to(torch::kFloat64), expected = wide.matmul(exact.t());
    const auto limit = expected.abs() * half_unit_of(torch::kBFloat16) +
                       wide.abs().matmul(exact.abs().t()) * error_of_products(torch::kBFloat16, 1024, false);
    CHECK(((found.cpu().to(torch::kFloat64) - expected).abs() - limit).max().item<double>() <= 0);
    CHECK(torch::equal(packed_linear(x.cuda(), there, packing), found));
  }
}

TEST_CASE("on a GPU a product takes rows between others, asks no kernel for gradients, and gives them to x") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(7);
  const MatrixPacking packing{.bits = 4, .group_size = 32, .sym = false};
  const auto packed = on(random_bits(packing, 64, 96), torch::kCUDA);
  const auto wide = torch::randn({2, 5, 67}, torch::dtype(torch::kBFloat16).device(torch::kCUDA));
  const auto x = wide.narrow(2, 3, 64).narrow(1, 4, 1);  // strided, and not at a multiple of 16 bytes
  const auto found = packed_linear(x, packed, packing);
  CHECK(found.sizes() == at::IntArrayRef({2, 1, 96}));
  CHECK(torch::equal(found, packed_linear(x.contiguous().clone(), packed, packing)));
  const PackedTensors tensors{.qweight = packed.qweight,
                              .qzeros = packed.qzeros,
                              .scales = packed.scales,
                              .g_idx = packed.g_idx,
                              .bits = 4,
                              .group = 32,
                              .zero_offset = 1};
  CHECK(fits_multiply_packed(x, tensors));
  CHECK_FALSE(fits_multiply_packed(wide.narrow(2, 0, 64).repeat({2, 1, 1}), tensors));  // 20 rows
  CHECK_FALSE(fits_multiply_packed(x.to(torch::kFloat32), tensors));
  const auto leaf = x.detach().clone().requires_grad_();
  CHECK_FALSE(fits_multiply_packed(leaf, tensors));
  packed_linear(leaf, packed, packing).to(torch::kFloat32).sum().backward();
  const auto sums = packed_weight(packed, packing, torch::kFloat32).sum(0);
  CHECK((leaf.grad().to(torch::kFloat32)[0][0] - sums).abs().max().item<double>() <
        0.01 * sums.abs().max().item<double>());
}

std::string problem_of(const PackedMatrix& packed, const MatrixPacking& packing) {
  const auto problem = packed_problem(packed, packing);
  return problem ? describe(*problem) : "";
}

TEST_CASE("groups, scales and zero points that can't be meant are refused") {
  const MatrixPacking packing{.bits = 4, .group_size = 32};
  const auto good = pack(some_matrix(packing, 64, 32), packing);
  CHECK(problem_of(good, packing).empty());
  auto bad = good;
  bad.g_idx = good.g_idx.clone();
  bad.g_idx[5] = 2;
  CHECK_THAT(problem_of(bad, packing),
             ContainsSubstring("g_idx: found group 2 for input 5, expected groups 0 to 1"));
  bad.g_idx[5] = 1;
  CHECK_THAT(problem_of(bad, packing), ContainsSubstring("as desc_act is false"));
  auto anywhere = packing;
  anywhere.desc_act = true;
  CHECK_THAT(problem_of(bad, anywhere), ContainsSubstring("found 33 inputs in group 1, expected at most 32"));
  auto second = packing;
  second.format = PackedFormat::gptq_v2;
  CHECK_THAT(problem_of(pack(some_matrix(packing, 64, 32), second), packing),
             ContainsSubstring("found a zero point of 9, expected 8") && ContainsSubstring("gptq_v2?"));
  bad = good;
  bad.scales = good.scales.clone();
  bad.scales[0][0] = std::numeric_limits<float>::infinity();
  CHECK_THAT(problem_of(bad, packing), ContainsSubstring("scales"));
}

TEST_CASE("a config of quantised weights is written and read, and another method is refused by its key") {
  MatrixPacking packing{
      .bits = 3, .group_size = 64, .desc_act = true, .sym = false, .format = PackedFormat::gptq_v2};
  const auto written = nlohmann::json::parse(write_matrix_packing(packing).dump());
  CHECK(read_matrix_packing(written, "config.json") == packing);
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    auto changed = written;
    changed[key] = value;
    return [changed] { read_matrix_packing(changed, "config.json"); };
  };
  CHECK_THROWS_WITH(refused("quant_method", "awq")(),
                    ContainsSubstring("quantization_config.quant_method") && ContainsSubstring("\"awq\""));
  CHECK_THROWS_WITH(refused("bits", 5)(),
                    ContainsSubstring("quantization_config.bits: found 5, expected 2, 3, 4 or 8"));
  CHECK_THROWS_WITH(refused("bits", nullptr)(), ContainsSubstring("bits: found null, expected a whole number"));
  CHECK_THROWS_WITH(refused("group_size", 0)(), ContainsSubstring("group_size: found 0"));
  CHECK_THROWS_WITH(refused("checkpoint_format", "marlin")(), ContainsSubstring("gptq or gptq_v2"));
  CHECK_THROWS_WITH(refused("sym", 1)(), ContainsSubstring("sym: found 1, expected true or false"));
}

}  // namespace
}  // namespace attnlab::test
