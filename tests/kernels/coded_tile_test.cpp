// The arithmetic of a block over a coded latent, thread by thread: what is copied, and what is made of it.
#include "kernels/coded_tile.h"

#include <vector>

#include "catch.h"
#include "coded_tensors.h"
#include "reference/coded_latent_twin.h"

namespace attnlab {
namespace {

using cuda::CodedTokens, cuda::copy_tile, cuda::decode_tile, cuda::EightBf16, cuda::kTileWarps,
    cuda::LatentCode, cuda::token_places;
using test::some_codes;
using torch::Tensor;

// A tile as bfloat16, [tokens, W], as the threads of a block leave it; memory begins as rubbish.
template <LatentCode code, int tokens>
Tensor tile_of(const CodedLatent& c, int64_t b, int64_t S, int tile, int step) {
  const auto R = static_cast<int>(c.codes_BPR.size(2)), W = R + static_cast<int>(c.rest_BPr.size(2));
  const int pitch = W + 8;
  const CodedTokens view = test::view_of(code, c, step);
  std::vector<EightBf16> copied(static_cast<size_t>(tokens * token_places(view).pitch / 16),
                                EightBf16{{~0U, ~0U, ~0U, ~0U}});
  const auto out = torch::full({tokens, pitch}, 7.0, torch::kBFloat16);
  auto* shared = reinterpret_cast<char*>(copied.data());
  constexpr int threads = 32 * kTileWarps;
  for (int thread = 0; thread < threads; ++thread) copy_tile<tokens>(view, b, S, tile, thread, shared);
  for (int thread = 0; thread < threads; ++thread)
    decode_tile<code, tokens>(view, R, W, thread, shared, static_cast<char*>(out.data_ptr()), pitch);
  CHECK((out.narrow(1, W, 8) == 7.0).all().item<bool>());  // nothing behind a token's numbers
  return out.narrow(1, 0, W);
}

template <LatentCode code, int tokens>
void check_tiles(const CodedLatent& c, int64_t S, int step) {
  const auto expected = torch::constant_pad_nd(test::decoded_twin(c, S), {0, 0, 0, 2 * tokens});
  for (int64_t b = 0; b < c.codes_BPR.size(0); ++b)
    for (int tile = 0; tile * tokens < S; ++tile) {
      INFO("row " << b << " tile " << tile << " step " << step);
      CHECK(torch::equal(tile_of<code, tokens>(c, b, S, tile, step),
                         expected[b].narrow(0, int64_t{tile} * tokens, tokens)));
    }
}

TEST_CASE("the threads of a block decode every number of a tile, of records and of parts that lie apart") {
  torch::manual_seed(8);
  for (const bool in_record : {false, true})
    for (const auto& [R, r, group] : std::vector<std::array<int64_t, 3>>{
             {512, 64, 128}, {256, 32, 64}, {80, 48, 40}, {16, 16, 8}, {64, 0, 32}}) {
      INFO("record " << in_record << " R " << R << " r " << r << " group " << group);
      auto fp8 = some_codes(true, in_record, 3, 71, R, r, group);
      auto int8 = some_codes(false, in_record, 3, 71, R, r, group);
      check_tiles<LatentCode::fp8, 32>(fp8, 71, 4), check_tiles<LatentCode::int8, 64>(int8, 71, 4);
      // Rows of 71, 60 and 38 tokens behind gaps, and one that shows the last of its tokens alone.
      for (auto* c : {&fp8, &int8}) c->gaps_B = torch::tensor(std::vector<int>{-2, 9, 31}, torch::kInt32);
      check_tiles<LatentCode::fp8, 64>(fp8, 69, 4), check_tiles<LatentCode::int8, 32>(int8, 69, 4);
    }
  const auto aligned = some_codes(true, true, 2, 64, 512, 64, 128);
  for (const int step : {8, 16}) check_tiles<LatentCode::fp8, 64>(aligned, 63, step);
}

}  // namespace
}  // namespace attnlab
