#include "attention/mla_shared_kv.h"

#include <cmath>

#include "attention/gqa.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

TEST_CASE("mla_shared_kv of full rank computes what GQA computes, and a changed weight is noticed") {
  for (const auto& size : odd_sizes())
    for (const auto dtype : {torch::kFloat64, torch::kFloat32}) {
      INFO(size.name);
      const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
      const auto input = random_input(size, dtype, 22);
      const auto expected = gqa->forward(input);
      const auto layer = converted_to<MlaSharedKv>(*gqa);
      // One chain is GQA's. Ours sums up 2·G·H numbers instead of G·H and starts from rounded products of as
      // many: fewer terms more than a second chain has.
      const double bound = 3 * tolerance(size, dtype, expected);
      CHECK(close(layer->forward(input), expected, bound));
      {
        const torch::NoGradGuard no_grad;
        layer->named_parameters()["kv_proj.weight"].mul_(1.001);
      }
      CHECK_FALSE(close(layer->forward(input), expected, bound));
    }
}

TEST_CASE("mla_shared_kv decodes step by step what the full pass computes") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    INFO(size.name);
    size.T = 21;
    const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 31);
    const auto input = random_input(size, kDouble, 32);
    const auto layer = converted_to<MlaSharedKv>(*gqa, {.rank = 3});
    const auto expected = layer->forward(input);
    CHECK(close(decode(*layer, input, 8), expected, 2 * tolerance(size, kDouble, expected)));
  }
}

TEST_CASE("mla_shared_kv keeps as many numbers as its rank, and more of GQA with more of them") {
  const Size size = odd_sizes()[0];
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto input = random_input(size, kDouble, 22);
  const auto expected = gqa->forward(input);
  double last = INFINITY;
  for (const int64_t rank : {1, 10, 20, 30, 40}) {
    const auto layer = converted_to<MlaSharedKv>(*gqa, {.rank = rank});
    CHECK(numbers_per_token(layer->state_layout()) == rank);
    const double error = (layer->forward(input) - expected).norm().item<double>();
    CHECK(error < last);
    last = error;
  }
}

TEST_CASE("mla_shared_kv refuses a rank that its latent can't have, and takes the largest that a cache holds") {
  const AttentionShape shape = odd_sizes()[0].shape;  // 2 KV heads of 10 numbers
  CHECK_FALSE(MlaSharedKv::problem(shape, {.rank = 40}));
  const auto problem = MlaSharedKv::problem(shape, {.rank = 41});
  REQUIRE(problem);
  CHECK(problem->key == "rank");
  CHECK(problem->expected == "1 to 2 * n_kv_heads * head_dim = 40");
  CHECK(MlaSharedKv::with_cache(shape, 17)->rank == 17);
  CHECK(MlaSharedKv::with_cache(shape, 500)->rank == 40);
  CHECK_FALSE(MlaSharedKv::with_cache(shape, 0));
}

}  // namespace
}  // namespace attnlab::test
