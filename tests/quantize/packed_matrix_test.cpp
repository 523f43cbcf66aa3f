// The hub's layout: its bits, its products, and what can't be meant.
#include "quantize/packed_matrix.h"

#include <nlohmann/json.hpp>

#include "catch.h"
#include "quantize/packed_checks.h"

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
