// The arithmetic of the warps that decode in Hopper's kernel over a coded latent, thread by thread: what they
// make of what the copy engine brought, and where the matrix unit finds it.
#include "kernels/hopper/coded_slots.h"

#include <algorithm>
#include <array>
#include <vector>

#include "catch.h"
#include "coded_tensors.h"
#include "reference/coded_latent_twin.h"

namespace attnlab {
namespace {

using cuda::EightBf16, cuda::LatentCode, cuda::hopper::Decoder;
using test::some_codes;
using torch::Tensor;

constexpr int kTileRows = 64, kSlotCodes = 128;  // of a tile, and of a slot

// Memory that begins as rubbish, at multiples of 16 bytes.
struct SlotBytes {
  std::vector<EightBf16> held;
  SlotBytes(int64_t size, uint32_t rubbish)
      : held(static_cast<size_t>((size + 15) / 16), EightBf16{{rubbish, rubbish, rubbish, rubbish}}) {}
  char* at() { return reinterpret_cast<char*>(held.data()); }
};

// The copy engine's box: 128 codes of each row from `row` on, zeros where there is no such row or code.
void bring_codes(const cuda::CodedTokens& c, int64_t b, int64_t row, int tokens, int slot, char* to) {
  for (int t = 0; t < tokens; ++t)
    for (int i = 0; i < kSlotCodes; ++i) {
      const int column = slot * kSlotCodes + i;
      const bool there = row + t >= 0 && row + t < c.rows && column < c.codes.bytes;
      to[t * kSlotCodes + i] = there ? c.codes.at[b * c.codes.b + (row + t) * c.codes.t + column] : '\0';
    }
}

// How often each byte was written is counted by writing over two kinds of rubbish: what is alike was written.
struct WrittenTile {
  SlotBytes tile;
  std::vector<int> times;
};

// A tile's blocks as `warps` warps leave them.
template <LatentCode code, int warps>
WrittenTile decoded_slots(const CodedLatent& latent, int64_t b, int S, int tile, int step) {
  using Own = Decoder<warps>;
  const auto c = test::view_of(code, latent, step);
  const int R = c.codes.bytes, slots = (R + kSlotCodes - 1) / kSlotCodes, pitch = Own::scale_pitch(c);
  const int64_t size = int64_t{slots} * kSlotCodes * kTileRows * 2;
  WrittenTile out{SlotBytes(size, 0), std::vector<int>(static_cast<size_t>(size))};
  const int gap = c.gaps ? c.gaps[b] : 0;
  for (int warp = 0; warp < warps; ++warp) {
    SlotBytes scales(Own::tokens * pitch, ~0U), codes(Own::slot_bytes, ~0U);
    for (int lane = 0; lane < 32; ++lane) Own{c, R, warp, lane, S, gap}.copy_scales(b, tile, scales.at());
    for (int slot = 0; slot < slots; ++slot) {
      const int64_t row = Own{c, R, warp, 0, S, gap}.first_token(tile) - gap;
      bring_codes(c, b, row, Own::tokens, slot, codes.at());
      for (int lane = 0; lane < 32; ++lane) {
        SlotBytes light(size, 0x55555555), dark(size, 0xaaaaaaaa);
        const Own own{c, R, warp, lane, S, gap};
        own.template decode<code>(tile, slot, codes.at(), scales.at(), light.at());
        own.template decode<code>(tile, slot, codes.at(), scales.at(), dark.at());
        for (size_t i = 0; i < out.times.size(); ++i)
          if (light.at()[i] == dark.at()[i]) ++out.times[i], out.tile.at()[i] = light.at()[i];
      }
    }
  }
  return out;
}

// Blocks of 64 columns, rows of 128 bytes: 16 bytes stand at their number XOR the row's.
Tensor numbers_in_blocks(WrittenTile& of, int64_t columns) {
  const auto out = torch::zeros({kTileRows, columns}, torch::kInt16);
  auto out_at = out.accessor<int16_t, 2>();
  const auto* from = reinterpret_cast<const int16_t*>(of.tile.at());
  for (int64_t t = 0; t < kTileRows; ++t)
    for (int64_t i = 0; i < columns; ++i) {
      const int64_t piece = (i % 64 / 8) ^ (t % 8);
      out_at[t][i] = from[i / 64 * 64 * kTileRows + t * 64 + piece * 8 + i % 8];
    }
  return out.view(torch::kBFloat16);
}

template <LatentCode code, int warps>
void check_slots(const CodedLatent& c, int S, int step) {
  const int64_t R = c.codes_BPR.size(2), columns = (R + kSlotCodes - 1) / kSlotCodes * kSlotCodes;
  const auto expected =
      torch::constant_pad_nd(test::decoded_twin(c, S).narrow(2, 0, R), {0, columns - R, 0, 2 * kTileRows});
  for (int64_t b = 0; b < c.codes_BPR.size(0); ++b)
    for (int tile = 0; tile * kTileRows < S; ++tile) {
      INFO("row " << b << " tile " << tile << " warps " << warps);
      auto of = decoded_slots<code, warps>(c, b, S, tile, step);
      CHECK(std::count(of.times.begin(), of.times.end(), 1) == static_cast<int64_t>(of.times.size()));
      CHECK(torch::equal(numbers_in_blocks(of, columns),
                         expected[b].narrow(0, int64_t{tile} * kTileRows, kTileRows)));
    }
}

TEST_CASE("warps that decode write each number of a tile once, where the matrix unit looks for it") {
  torch::manual_seed(9);
  for (const auto& [R, group] : std::vector<std::array<int64_t, 2>>{
           {512, 128}, {512, 256}, {256, 64}, {320, 80}, {128, 16}, {80, 40}, {16, 8}}) {
    INFO("R " << R << " group " << group);
    auto fp8 = some_codes(true, true, 2, 80, R, 64, group),
         int8 = some_codes(false, false, 2, 80, R, 16, group);
    check_slots<LatentCode::fp8, 4>(fp8, 71, 4), check_slots<LatentCode::int8, 8>(int8, 71, 4);
    // NaN behind the end of a sequence, and rows behind gaps.
    fp8.codes_BPR.view(torch::kUInt8).narrow(1, 70, 10).fill_(0x7f);
    for (auto* c : {&fp8, &int8}) c->gaps_B = torch::tensor(std::vector<int>{-3, 21}, torch::kInt32);
    check_slots<LatentCode::fp8, 8>(fp8, 67, 4), check_slots<LatentCode::int8, 4>(int8, 67, 4);
  }
  check_slots<LatentCode::fp8, 4>(some_codes(true, true, 1, 71, 512, 64, 512), 71, 4);  // one scale
}

}  // namespace
}  // namespace attnlab
