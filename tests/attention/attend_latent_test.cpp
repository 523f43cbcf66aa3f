// Attention over a latent by two products is what the general path gives, and the cache gives what both read.
#include "attention/attend_latent.h"

#include <limits>

#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

// Queries, and a cache of `capacity` tokens of which the first S count.
struct Latent {
  int64_t B, N, W, R, S, capacity;
  torch::Tensor q_BNW, cache_BCW;

  Latent(int64_t b, int64_t n, int64_t w, int64_t r, int64_t s, torch::ScalarType dtype)
      : B(b), N(n), W(w), R(r), S(s), capacity((s + 7) / 8 * 8 + 8) {
    torch::manual_seed(7);
    q_BNW = torch::randn({B, N, W}, dtype);
    cache_BCW = torch::randn({B, capacity, W}, dtype);
  }
  torch::Tensor general(const torch::Tensor& mask_B11S, const ScoreForm& form) const {
    const auto k_B1SW = cache_BCW.narrow(1, 0, S).unsqueeze(1);
    return attend(q_BNW.unsqueeze(2), k_B1SW, k_B1SW, mask_B11S, form).squeeze(2).narrow(-1, 0, R);
  }
  // eps · (terms of a score + terms of softmax and of its product, 2 S) · the largest number that is summed;
  // the scores, of √W standard deviations times the scale, enter an exponential, so that their error counts as
  // it is.
  double bound(torch::ScalarType dtype) const {
    const double eps = dtype == torch::kFloat64 ? std::numeric_limits<double>::epsilon()
                                                : std::numeric_limits<float>::epsilon();
    return eps * static_cast<double>(W + 2 * S) * cache_BCW.abs().max().item<double>();
  }
};

// The first tokens of some rows hidden, never all.
torch::Tensor some_mask(int64_t B, int64_t S) {
  const auto hidden_B1 = (torch::arange(B) % 3).unsqueeze(1);
  return (torch::arange(S).unsqueeze(0) >= hidden_B1.clamp_max(S - 1)).view({B, 1, 1, S});
}

TEST_CASE("two products over a latent equal attention with one wide head, masked or not") {
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kFloat64, torch::kFloat32})
    for (const int64_t S : {1, 7, 8, 63, 111}) {
      const Latent x(3, 5, 44, 31, S, dtype);
      for (const bool masked : {false, true}) {
        INFO("S " << S << ", masked " << masked << ", " << c10::toString(dtype));
        const auto mask = masked ? some_mask(x.B, S) : torch::Tensor();
        const auto expected = x.general(mask, {.scale = 0.15});
        for (const int64_t P : {S, (S + 7) / 8 * 8, x.capacity})
          CHECK(close(attend_latent_products(x.q_BNW, x.cache_BCW.narrow(1, 0, P), S, x.R, mask, 0.15),
                      expected, x.bound(dtype)));
        CHECK(close(attend_latent(x.q_BNW, x.cache_BCW, S, x.R, mask, {.scale = 0.15}), expected,
                    x.bound(dtype)));
      }
    }
}

TEST_CASE("a cap on the scores of a latent is kept") {
  const torch::NoGradGuard no_grad;
  const Latent x(2, 3, 20, 16, 19, torch::kFloat64);
  const auto capped = attend_latent(x.q_BNW, x.cache_BCW, x.S, x.R, {}, {.scale = 0.5, .softcap = 1});
  CHECK(close(capped, x.general({}, {.scale = 0.5, .softcap = 1}), x.bound(torch::kFloat64)));
  CHECK_FALSE(torch::allclose(capped, x.general({}, {.scale = 0.5})));
}

TEST_CASE("on a GPU the products are near those of float32 on a CPU in each type") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16, torch::kFloat16})
    for (const int64_t S : {8, 111, 1025}) {
      INFO("S " << S << ", " << c10::toString(dtype));
      const Latent x(3, 32, 576, 512, S, torch::kFloat32);
      const auto q = x.q_BNW.to(dtype), cache = x.cache_BCW.to(dtype);
      const auto mask = some_mask(x.B, S);
      const auto expected =
          attend_latent_products(q.to(torch::kFloat32), cache.to(torch::kFloat32), S, x.R, mask, 0.04);
      const auto found = attend_latent(q.cuda(), cache.cuda(), S, x.R, mask.cuda(), {.scale = 0.04});
      CHECK(found.scalar_type() == dtype);
      // Float32 sums are exact beside the rounding of a weight and of the result to 2^-8 (bfloat16), 2^-11.
      const double eps = dtype == torch::kBFloat16 ? 0x1p-8 : dtype == torch::kFloat16 ? 0x1p-11 : 0;
      const double bound = x.bound(torch::kFloat32) + 2 * eps * cache.abs().max().item<double>();
      CHECK(close(found.cpu().to(torch::kFloat32), expected, bound));
    }
}

TEST_CASE("neighbours turn as halves do") {
  const auto x = torch::randn({2, 3, 5, 14}, torch::kFloat64);
  const auto tables = rotary_tables(torch::arange(5).unsqueeze(0), 14, 10000.0, torch::kFloat64);
  CHECK(torch::equal(apply_rotary_to_pairs(x, tables.cos_BTH, tables.sin_BTH),
                     apply_rotary(pairs_to_halves(x), tables.cos_BTH, tables.sin_BTH)));
}

}  // namespace
}  // namespace attnlab::test
