// The pieces below the variants: rotary tables and softmax attention.
#include "attention/attend.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

TEST_CASE("rotary tables are cos and sin of position times θ^(-2i/H), in both halves") {
  const std::vector<int64_t> positions{0, 1, 7, 130};
  constexpr int64_t H = 6;
  const double theta = 1e6;
  const auto tables = rotary_tables(torch::tensor(positions).view({2, 2}), H, theta, torch::kFloat64);
  REQUIRE(tables.cos_BTH.sizes() == torch::IntArrayRef({2, 2, H}));
  for (size_t p = 0; p < positions.size(); ++p)
    for (int64_t i = 0; i < H; ++i) {
      CAPTURE(positions[p], i);
      const double angle =
          static_cast<double>(positions[p]) * std::pow(theta, -2.0 * static_cast<double>(i % (H / 2)) / H);
      // float32 angles: the exponent, the power (a relative error of |ln θ| eps) and the product.
      const double bound = std::numeric_limits<float>::epsilon() * (1 + angle * (2 + std::log(theta)));
      const auto row = static_cast<int64_t>(p / 2), column = static_cast<int64_t>(p % 2);
      CHECK(std::abs(tables.cos_BTH[row][column][i].item<double>() - std::cos(angle)) <= bound);
      CHECK(std::abs(tables.sin_BTH[row][column][i].item<double>() - std::sin(angle)) <= bound);
    }
}

TEST_CASE("scores after rotary depend on the distance of positions only") {
  torch::manual_seed(1);
  const auto q = torch::randn({1, 1, 1, 10}, torch::kFloat64), k = torch::randn({1, 1, 1, 10}, torch::kFloat64);
  const auto score = [&](int64_t query, int64_t key) {
    const auto turn = [](const torch::Tensor& x, int64_t position) {
      const auto tables = rotary_tables(torch::full({1, 1}, position), 10, 100.0, torch::kFloat64);
      return apply_rotary(x, tables.cos_BTH, tables.sin_BTH);
    };
    return (turn(q, query) * turn(k, key)).sum().item<double>();
  };
  const double bound = 50 * 10 * std::numeric_limits<float>::epsilon();  // float32 angles up to 45, 10 terms
  CHECK(std::abs(score(9, 4) - score(45, 40)) <= bound);
  CHECK(std::abs(score(9, 4) - score(4, 9)) > 1e-3);
}

// softmax attention by its definition, one KV head per query head.
torch::Tensor by_definition(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                            const torch::Tensor& allowed) {
  const int64_t times = q.size(1) / k.size(1);
  const auto keys = k.repeat_interleave(times, 1), values = v.repeat_interleave(times, 1);
  auto scores = torch::matmul(q, keys.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  if (allowed.defined()) scores = scores.masked_fill(~allowed, -std::numeric_limits<double>::infinity());
  return torch::matmul(torch::softmax(scores, -1), values);
}

TEST_CASE("heads that share a KV head: causal, masked, and one new token against a cache") {
  torch::manual_seed(2);
  const auto random = [](int64_t heads, int64_t T) { return torch::randn({3, heads, T, 10}, torch::kFloat64); };
  const auto k = random(2, 13), v = random(2, 13);
  const double bound = 13 * 10 * 4 * std::numeric_limits<double>::epsilon() * v.abs().max().item<double>();
  const auto causal = torch::ones({13, 13}, torch::kBool).tril();
  auto some = torch::rand({3, 1, 13, 13}) < 0.5;
  some.select(3, 5).fill_(true);
  const auto many = random(6, 13), one = random(6, 1);
  CHECK(close(attend(many, k, v, {}), by_definition(many, k, v, causal), bound));
  CHECK(close(attend(many, k, v, some), by_definition(many, k, v, some), bound));
  CHECK(close(attend(one, k, v, {}), by_definition(one, k, v, {}), bound));
  const auto row = some.narrow(2, 4, 1);
  CHECK(close(attend(one, k, v, row), by_definition(one, k, v, row), bound));
  CHECK_FALSE(close(attend(one, k, v, row), by_definition(one, k, v, {}), bound));
}

TEST_CASE("attention weights are a distribution over what a query may see") {
  torch::manual_seed(3);
  const auto q = torch::randn({2, 3, 4, 6}, torch::kFloat64), k = torch::randn({2, 3, 9, 6}, torch::kFloat64);
  const auto weights = attention_weights(q, k, {});  // the last 4 of 9 tokens
  CHECK(close(weights.sum(-1), torch::ones({2, 3, 4}, torch::kFloat64), 9 * 2.3e-16 * 4));
  CHECK(weights.triu(6).abs().max().item<double>() == 0);
  CHECK(weights.diagonal(5, 2, 3).min().item<double>() > 0);
}

}  // namespace
}  // namespace attnlab::test
