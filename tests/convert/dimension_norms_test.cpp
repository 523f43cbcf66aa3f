#include "convert/dimension_norms.h"

#include "attention/gqa_weights.h"
#include "attention/mla_orthogonal.h"
#include "attention/variant_config.h"
#include "catch.h"

namespace attnlab {
namespace {

constexpr int64_t kTokens = 500;

// Numbers of very different sizes that depend on each other, [tokens, width].
torch::Tensor samples(int64_t width, uint64_t seed) {
  const auto random = at::detail::createCPUGenerator(seed);
  const auto options = torch::kFloat64;
  const auto mixing =
      torch::randn({width, width}, random, options) * torch::logspace(-1, 1, width, 10, options).unsqueeze(0);
  return torch::matmul(torch::randn({kTokens, width}, random, options), mixing);
}

torch::Tensor moment_of(const torch::Tensor& rows) { return torch::matmul(rows.t(), rows); }

torch::Tensor norms_directly(const torch::Tensor& rows) { return rows.square().mean(0).sqrt(); }

double largest(const torch::Tensor& difference) { return difference.abs().max().item<double>(); }

}  // namespace

TEST_CASE("norms of keys are those of the keys themselves, rotated ones of the rotated keys, in latent order") {
  const auto keys = samples(24, 1);
  for (const int64_t m : {1, 2, 3, 6}) {
    const RopeFold fold{.n_kv_heads = 2, .head_dim = 12, .freqfold = m};
    const auto norms = key_norms(moment_of(keys), kTokens, fold);
    const auto rotation = rorope_rotation(fold_halves(moment_of(keys), fold), fold);
    const auto rotated = torch::matmul(keys, rotation.t()).index_select(1, rope_first_order(fold));
    // Sums of 500 products in double.
    CHECK(largest(norms.before - norms_directly(keys)) < 1e-10);
    CHECK(largest(norms.rotated - norms_directly(rotated)) < 1e-10);
  }
}

TEST_CASE("the rotation keeps the total energy of keys and gathers it in the rotary part") {
  const auto keys = samples(32, 2);
  const RopeFold fold{.n_kv_heads = 4, .head_dim = 8, .freqfold = 4};
  const auto norms = key_norms(moment_of(keys), kTokens, fold);
  const auto before = norms.before.square(), rotated = norms.rotated.square();
  const double total = before.sum().item<double>();
  CHECK(rotated.sum().item<double>() == Approx(total).epsilon(1e-10));
  // A quarter of the numbers.
  CHECK(rotated.narrow(0, 0, 8).sum().item<double>() > 0.4 * total);
}

TEST_CASE("balancing gives the keys without rotary the values' mean norm and leaves values as they are") {
  const auto keys = 7 * samples(24, 3), values = samples(24, 4);
  const RopeFold fold{.n_kv_heads = 2, .head_dim = 12, .freqfold = 2, .collapse = 2};
  const auto norms = balance_norms(moment_of(keys), moment_of(values), kTokens, fold);
  REQUIRE(norms.k_nope_before.size(0) == 24 - 6);
  CHECK(largest(norms.v_before - norms_directly(values)) < 1e-10);
  CHECK(torch::equal(norms.v_before, norms.v_after));
  const double v = norms.v_after.mean().item<double>();
  CHECK(norms.k_nope_before.mean().item<double>() > 3 * v);
  CHECK(norms.k_nope_after.mean().item<double>() == Approx(v).epsilon(1e-10));
  const auto all = key_norms(moment_of(keys), kTokens, fold).rotated;
  CHECK(largest(norms.k_nope_before - all.narrow(0, 6, 18)) == 0);
}

TEST_CASE("the Gram matrix of an orthogonal decomposition is the identity, that of dense columns is not") {
  const AttentionShape shape{.d_model = 24, .n_heads = 4, .n_kv_heads = 2, .head_dim = 6};
  const auto weight = samples(24, 5).narrow(0, 0, 12), query = samples(24, 6).narrow(0, 0, 24);
  const GqaWeights gqa{.q_weight = query, .k_weight = weight, .v_weight = weight, .o_weight = query};
  const auto up = convert_from_gqa(shape, MlaOrthogonal::Config{}, gqa).at("k_up_proj.weight");
  CHECK(largest(gram_of(up) - torch::eye(12, torch::kFloat64)) < 1e-12);
  const auto dense = gram_of(weight);
  CHECK(largest(dense.diagonal() - 1) < 1e-12);
  CHECK(largest(dense - torch::diag(dense.diagonal())) > 0.1);
  CHECK(largest(gram_of(torch::zeros({3, 2}))) == 0);
}

}  // namespace attnlab
