// The kernel of absorbed decoding against softmax attention in double precision.
#include "kernels/latent_query.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "kernels/recorded.h"
#include "reference/coded_latent_twin.h"

namespace attnlab {
namespace {

using torch::Tensor;

constexpr int64_t kPage = 64;

torch::TensorOptions on_device(torch::ScalarType dtype) { return torch::dtype(dtype).device(torch::kCUDA); }

// A cache of S tokens in longer memory, NaN behind the newest.
LatentQuery decoding(int64_t N, int64_t S, int64_t R = 512, int64_t rope = 64, int64_t B = 3) {
  const auto memory = torch::randn({B, S + 5, R + rope}, on_device(torch::kBFloat16));
  memory.narrow(1, S, 5).fill_(std::numeric_limits<double>::quiet_NaN());
  return {.q_BNW = 1.5 * torch::randn({B, N, R + rope}, on_device(torch::kBFloat16)),
          .latent_BPW = memory,
          .S = S,
          .R = R,
          .mask_B11S = {},
          .scale = 1 / std::sqrt(static_cast<double>(R + rope)),
          .softcap = 0,
          .pages_Bp = {}};
}

#define NEEDS_LATENT_KERNEL()                            \
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU"); \
  REQUIRE(fits_latent_query(decoding(8, 1).q_BNW, decoding(8, 1).latent_BPW, 512))

Tensor exact_copy(const Tensor& x) { return x.to(torch::kCPU, torch::kFloat64); }

void check_exact(const LatentQuery& query, const Tensor& found) {
  const auto q = exact_copy(query.q_BNW), c = exact_copy(query.latent_BPW.narrow(1, 0, query.S));
  auto scores = torch::matmul(q, c.transpose(1, 2)) * query.scale;
  if (query.softcap > 0) scores = query.softcap * torch::tanh(scores / query.softcap);
  if (query.mask_B11S.defined())
    scores = scores.masked_fill(query.mask_B11S.cpu().squeeze(1).logical_not(), -INFINITY);
  const auto exact = torch::matmul(torch::nan_to_num(torch::softmax(scores, -1), 0), c.narrow(2, 0, query.R));
  // Each weight is rounded to bfloat16 (half a unit in the last place: 2^-8), and so is the result; a score's
  // float32 sum of W products enters the exponential, whose own error is 2^-22.
  const double terms = torch::matmul(q.abs(), c.abs().transpose(1, 2)).max().item<double>() * query.scale;
  const double score = static_cast<double>(q.size(2)) * 0x1p-24 * terms + 0x1p-22;
  const double limit = (0x1p-8 + 2 * score) * c.abs().max().item<double>();
  const auto wrong = (exact_copy(found) - exact).abs() - 0x1p-8 * exact.abs();
  INFO("worst " << wrong.max().item<double>() << ", limit " << limit);
  CHECK(found.isfinite().all().item<bool>());
  CHECK(wrong.max().item<double>() <= limit);
}

// Lengths that differ from row to row, from 1 on, and holes.
Tensor some_lengths(int64_t B, int64_t S) {
  const auto columns = torch::arange(S, on_device(torch::kInt64));
  const auto ends = (torch::arange(B, on_device(torch::kInt64)) * S / B + 1).view({B, 1, 1, 1});
  return (columns < ends).logical_and((columns % 5 != 3).logical_or(columns == 0));
}

TEST_CASE("attend_latent_query is softmax attention of double precision at any heads, widths and lengths") {
  NEEDS_LATENT_KERNEL();
  torch::manual_seed(3);
  for (const auto& [R, rope] : {std::pair<int64_t, int64_t>{512, 64}, {256, 64}, {128, 32}, {80, 48}, {16, 16}})
    for (const int64_t N : {1, 8, 14, 28, 32, 72, 128})
      for (const int64_t S : {1, 63, 64, 130, 2051})
        for (const bool masked : {false, true}) {
          INFO("R " << R << " rope " << rope << " N " << N << " S " << S << " masked " << masked);
          auto query = decoding(N, S, R, rope);
          if (masked) query.mask_B11S = some_lengths(3, S);
          if (masked && N == 28) query.softcap = 5;
          check_exact(query, attend_latent_query(query));
        }
}

TEST_CASE("attend_latent_query finds tokens by pages") {
  NEEDS_LATENT_KERNEL();
  torch::manual_seed(4);
  constexpr int64_t B = 3, S = 333, pages = (S + kPage - 1) / kPage;
  auto query = decoding(32, S);
  query.latent_BPW = query.latent_BPW.narrow(1, 0, S).contiguous();
  query.mask_B11S = some_lengths(B, S);
  const auto whole = attend_latent_query(query);
  const auto order = torch::randperm(B * pages + 2, on_device(torch::kInt64)).narrow(0, 0, B * pages);
  const auto memory = torch::zeros({B * pages + 2, kPage, query.latent_BPW.size(2)}, query.q_BNW.options());
  const auto padded = torch::constant_pad_nd(query.latent_BPW, {0, 0, 0, pages * kPage - S});
  memory.index_copy_(0, order, padded.reshape({B * pages, kPage, -1}));
  auto paged = query;
  paged.latent_BPW = memory;
  paged.pages_Bp = order.view({B, pages}).to(torch::kInt32);
  CHECK(torch::equal(attend_latent_query(paged), whole));
}

TEST_CASE("attend_latent_query: what it does not take, and a query that may look nowhere") {
  const auto on_cpu = torch::randn({1, 8, 576}, torch::kBFloat16);
  CHECK_FALSE(fits_latent_query(on_cpu, on_cpu, 512));
  NEEDS_LATENT_KERNEL();
  const auto query = decoding(8, 70);
  const auto &q = query.q_BNW, &latent = query.latent_BPW;
  CHECK_FALSE(fits_latent_query(q, latent.to(torch::kFloat32), 512));
  CHECK_FALSE(fits_latent_query(q, latent, 520));                    // R is no multiple of 16
  CHECK_FALSE(fits_latent_query(q, latent, 256));                    // W is too wide beside it
  CHECK_FALSE(fits_latent_query(q, latent.narrow(2, 4, 560), 512));  // starts between accesses
  CHECK_FALSE(fits_latent_query(q, latent.transpose(1, 2), 16));     // numbers of a token lie apart
  CHECK_FALSE(fits_latent_query(q.detach().clone().requires_grad_(), latent, 512));
  auto blind = query;
  blind.mask_B11S = some_lengths(3, 70);
  blind.mask_B11S.select(0, 1).fill_(false);
  const auto out = attend_latent_query(blind);
  CHECK(out.select(0, 1).abs().max().item<double>() == 0);
  check_exact(blind, out);
}

TEST_CASE("a recorded attend_latent_query reads the mask and the cache as they are when it is replayed") {
  NEEDS_LATENT_KERNEL();
  const torch::NoGradGuard no_grad;
  auto query = decoding(32, 1000);
  query.mask_B11S = some_lengths(3, 1000);
  Tensor out;
  attend_latent_query(query);
  Recorder recorder(query.q_BNW.device());
  const auto recording = recorder.record([&] { out = attend_latent_query(query); });
  query.mask_B11S.narrow(3, 0, 500).fill_(true);
  query.latent_BPW.narrow(1, 0, 1000).mul_(0.5);
  query.q_BNW.mul_(2);
  recording->replay();
  CHECK(torch::equal(out, attend_latent_query(query)));
  check_exact(query, out);
}

// A cache as codes, in records as FlashMLA's (fp8) or in parts of their own (int8), and as what the codes stand
// for. `aligned`: tokens lie at multiples of 16 bytes, or of 4 alone, which Hopper's kernel leaves to the
// other.
struct CodedShape {
  bool fp8, aligned;
  int64_t R, rope, group;
};
struct CodedDecoding {
  LatentQuery query, dense;
  // Of the first N heads.
  CodedDecoding with_heads(int64_t N) const {
    CodedDecoding out = *this;
    out.query.q_BNW = out.dense.q_BNW = dense.q_BNW.narrow(1, 0, N).contiguous();
    return out;
  }
};
CodedDecoding coded_decoding(const CodedShape& shape, int64_t N, int64_t S, const Tensor& gaps_B = {}) {
  constexpr int64_t B = 3, spare = 5;
  const auto [fp8, aligned, R, rope, group] = shape;
  auto bytes = torch::randint(0, 256, {B, S + spare, R}, on_device(torch::kInt64));
  if (fp8) bytes.masked_fill_(bytes.bitwise_and(0x7f) == 0x7f, 0x7e);  // NaN
  bytes = bytes.to(torch::kUInt8);
  if (fp8 && !gaps_B.defined()) bytes.narrow(1, S, spare).fill_(0x7f);  // what is no token may be NaN
  const auto some = torch::randn({B, S + spare, rope + 8}, on_device(torch::kBFloat16));
  const auto rest = rope > 0 ? some.narrow(2, 0, rope).contiguous() : some.narrow(2, 0, 0);
  const auto scales = torch::rand({B, S + spare, R / group}, on_device(torch::kFloat32)) / (fp8 ? 200 : 60);
  const auto odd = bytes.narrow(2, 0, aligned ? 0 : 4);
  CodedLatent coded;
  if (fp8) {
    const auto record =
        torch::cat({bytes, scales.view(torch::kUInt8), rest.contiguous().view(torch::kUInt8), odd}, 2);
    const int64_t end = R + 4 * (R / group);
    coded = {record.narrow(2, 0, R).view(torch::kFloat8_e4m3fn),
             record.narrow(2, R, end - R).view(torch::kFloat32),
             record.narrow(2, end, 2 * rope).view(torch::kBFloat16), gaps_B};
  } else {
    coded = {torch::cat({bytes, odd}, 2).narrow(2, 0, R).view(torch::kInt8), scales.to(torch::kBFloat16), rest,
             gaps_B};
  }
  auto dense = decoding(N, S, R, rope, B);
  dense.latent_BPW = test::decoded_twin(coded, S).cuda();
  CodedDecoding out{dense, dense};
  out.query.latent_BPW = Tensor(), out.query.coded = coded;
  return out;
}

void check_heads_and_masks(const CodedDecoding& all, int64_t N, int64_t S) {
  for (const bool masked : {false, true}) {
    INFO("N " << N << " S " << S << " masked " << masked);
    auto of = all.with_heads(N);
    if (masked) of.query.mask_B11S = of.dense.mask_B11S = some_lengths(3, S);
    if (masked && N == 5) of.query.softcap = of.dense.softcap = 5;
    REQUIRE(fits_latent_query(of.query.q_BNW, of.query.coded));
    check_exact(of.dense, attend_latent_query(of.query));
  }
}

TEST_CASE("attend_latent_query over codes is that over what they stand for, at any heads, widths and lengths") {
  NEEDS_LATENT_KERNEL();
  torch::manual_seed(5);
  for (const bool fp8 : {false, true})
    for (const bool aligned : {true, false})
      for (const auto& [R, rope, group] : std::vector<std::array<int64_t, 3>>{
               {512, 64, 128}, {256, 64, 64}, {128, 32, 16}, {320, 64, 80}, {80, 48, 40}, {256, 0, 64}})
        for (const int64_t S : {1, 63, 64, 130, 1027}) {
          INFO("fp8 " << fp8 << " aligned " << aligned << " R " << R << " rope " << rope);
          const auto all = coded_decoding({fp8, aligned, R, rope, group}, 128, S);
          for (const int64_t N : {1, 5, 16, 32, 72, 128}) check_heads_and_masks(all, N, S);
        }
}

TEST_CASE("attend_latent_query over codes gives a lone token's numbers to the bit") {
  NEEDS_LATENT_KERNEL();
  torch::manual_seed(6);
  constexpr int64_t S = 197;
  for (const bool fp8 : {false, true})
    for (const bool aligned : {true, false})
      for (const int64_t token : {0, 63, 64, 150, 196}) {
        INFO("fp8 " << fp8 << " aligned " << aligned << " token " << token);
        const auto of = coded_decoding({fp8, aligned, 512, 64, 64}, 32, S);
        auto query = of.query;
        query.mask_B11S = torch::arange(S, on_device(torch::kInt64)).eq(token).view({1, 1, 1, S});
        const auto numbers_BR = of.dense.latent_BPW.select(1, token).narrow(1, 0, 512);
        CHECK(torch::equal(attend_latent_query(query), numbers_BR.unsqueeze(1).expand({-1, 32, -1})));
      }
}

TEST_CASE("attend_latent_query over codes finds rows behind gaps, and what it does not take") {
  NEEDS_LATENT_KERNEL();
  constexpr int64_t S = 333;
  const auto gaps = torch::tensor(std::vector<int>{-3, 70, 332}, on_device(torch::kInt32));
  for (const auto& [fp8, aligned] :
       std::vector<std::array<bool, 2>>{{false, true}, {false, false}, {true, true}, {true, false}}) {
    INFO("fp8 " << fp8 << " aligned " << aligned);
    auto of = coded_decoding({fp8, aligned, 512, 64, 128}, 32, S, gaps);
    const auto columns = torch::arange(S, on_device(torch::kInt64));
    of.query.mask_B11S = of.dense.mask_B11S = (columns >= gaps.unsqueeze(1)).view({3, 1, 1, S});
    check_exact(of.dense, attend_latent_query(of.query));
    const auto& c = of.query.coded;
    const auto fits = [&](const CodedLatent& coded) { return fits_latent_query(of.query.q_BNW, coded); };
    CHECK(fits(c));
    CHECK_FALSE(fits({c.codes_BPR, c.scales_BPg.to(torch::kFloat64), c.rest_BPr, {}}));
    CHECK_FALSE(fits({c.codes_BPR, c.scales_BPg, c.rest_BPr.to(torch::kFloat32), {}}));
    CHECK_FALSE(fits({c.codes_BPR, c.scales_BPg, c.rest_BPr.narrow(2, 0, 48), {}}));  // queries are wider
    CHECK_FALSE(fits({c.codes_BPR.narrow(2, 0, 480), c.scales_BPg, c.rest_BPr, {}}));
  }
}

TEST_CASE("a recorded attend_latent_query over codes reads them as they are when it is replayed") {
  NEEDS_LATENT_KERNEL();
  const torch::NoGradGuard no_grad;
  auto of = coded_decoding({true, true, 512, 64, 128}, 32, 1000);
  Tensor out;
  attend_latent_query(of.query);
  Recorder recorder(of.query.q_BNW.device());
  const auto recording = recorder.record([&] { out = attend_latent_query(of.query); });
  of.query.coded.scales_BPg.mul_(0.5);
  recording->replay();
  of.dense.latent_BPW = test::decoded_twin(of.query.coded, 1000).cuda();
  check_exact(of.dense, out);
}

}  // namespace
}  // namespace attnlab
