// CARE's layer: low rank of keys and values that errs least, and the ranks of a layer.
#include <Eigen/Eigenvalues>
#include <Eigen/SVD>

#include "attention/care_layer.h"
#include "attention/gqa.h"
#include "attention/low_rank.h"
#include "attention/spectral.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using test::kDouble;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::MatrixXd to_eigen(const torch::Tensor& x) {
  const auto rows = x.contiguous();
  return Eigen::Map<const RowMajor>(rows.data_ptr<double>(), rows.size(0), rows.size(1));
}

TEST_CASE("care: at full rank it is GQA") {
  for (const auto& size : odd_sizes())
    for (const auto dtype : {torch::kFloat64, torch::kFloat32}) {
      INFO(size.name);
      const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
      const auto input = random_input(size, dtype, 22);
      const auto expected = gqa->forward(input);
      CHECK(close(converted(*gqa, Care::Config{})->forward(input), expected,
                  2 * tolerance(size, dtype, expected)));
    }
}

TEST_CASE("the error on activations is the sum of discarded singular values of W times the root of C") {
  torch::manual_seed(3);
  const auto weight = torch::randn({12, 9}, kDouble), bias = torch::randn({12}, kDouble);
  // Inputs of very different sizes, and the bias's 1.
  const auto x_PD = torch::randn({40, 9}, kDouble) * torch::logspace(-1, 1, 9, 10.0, kDouble);
  const auto inputs = torch::cat({x_PD, torch::ones({40, 1}, kDouble)}, 1);
  const auto whole = torch::cat({weight, bias.unsqueeze(1)}, 1);
  const auto y = torch::matmul(inputs, whole.t());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> root(to_eigen(torch::matmul(inputs.t(), inputs)));
  const Eigen::MatrixXd whitened = to_eigen(whole) * root.operatorSqrt();
  const Eigen::VectorXd S2 = Eigen::JacobiSVD<Eigen::MatrixXd>(whitened).singularValues().array().square();
  const auto lost = [&](const LowRank& factors) {
    const auto down = torch::cat({factors.down, factors.down_bias.unsqueeze(1)}, 1);
    const auto error = whole - torch::matmul(factors.up, down);
    return torch::matmul(inputs, error.t()).square().sum().item<double>();
  };
  for (const int64_t rank : {1, 4, 8, 10}) {
    const auto factors = low_rank(weight, bias, torch::matmul(y.t(), y), rank);
    const double discarded = S2.tail(S2.size() - rank).sum();
    CHECK(lost(factors) == Approx(discarded).epsilon(1e-9).margin(1e-9 * S2[0]));
    CHECK(energy_kept(factors.energies, rank) == Approx(1 - discarded / S2.sum()).epsilon(1e-9));
    const double plain = lost(low_rank(weight, bias, white_moment(weight, bias), rank));
    CHECK(lost(factors) <= plain + 1e-9 * S2[0]);
    if (rank < 8) CHECK(lost(factors) < 0.9 * plain);
    CHECK(torch::allclose(torch::matmul(factors.up.t(), factors.up), torch::eye(rank, kDouble), 0, 1e-12));
  }
}

TEST_CASE("each layer has its own ranks") {
  AttentionShape shape{16, 4, 2, 6};
  shape.n_layers = 3;
  const Care::Config config{.rank = 4, .layers = {{3, 1, 12}, {5, 2, 1}}};
  CHECK_FALSE(Care::problem(shape, config));
  for (int64_t layer = 0; layer < 3; ++layer) {
    shape.layer = layer;
    const auto layout = make_mixer(shape, config)->state_layout();
    CHECK(layout[0].width == config.layers.keys[static_cast<size_t>(layer)]);
    CHECK(layout[1].width == config.layers.values[static_cast<size_t>(layer)]);
  }
  CHECK(numbers_per_token(make_mixer(shape, Care::Config{.rank = 4})->state_layout()) == 8);
  CHECK(numbers_per_token(make_mixer(shape, Care::Config{})->state_layout()) == 24);
}

std::string refusal(const AttentionShape& shape, const Care::Config& config) {
  const auto problem = Care::problem(shape, config);
  return problem ? describe(*problem) : "accepted";
}

TEST_CASE("care: what can't be built is refused by its key") {
  AttentionShape shape{16, 4, 2, 6};
  CHECK(refusal(shape, {.rank = 12}) == "accepted");
  CHECK_THAT(refusal(shape, {.rank = 13}), ContainsSubstring("rank: found 13, expected 1 to 12"));
  CHECK_THAT(refusal(shape, {.layers = {{3}, {}}}), ContainsSubstring("v_ranks: found 0 numbers"));
  CHECK_THAT(refusal(shape, {.layers = {{}, {3}}}), ContainsSubstring("k_ranks: found 0 numbers"));
  shape.n_layers = 2;
  CHECK(refusal(shape, {.layers = {{3, 4}, {5, 12}}}) == "accepted");
  CHECK_THAT(refusal(shape, {.layers = {{3, 4, 5}, {5, 4, 3}}}),
             ContainsSubstring("k_ranks: found 3 numbers, expected one for each of 2 layers"));
  CHECK_THAT(refusal(shape, {.layers = {{3, 4}, {5, 13}}}), ContainsSubstring("v_ranks: found 13"));
  CHECK_THAT(refusal(shape, {.layers = {{3, 0}, {5, 1}}}), ContainsSubstring("k_ranks: found 0,"));
  shape.qk_norm = true;
  shape.rotary_dim = 4;
  shape.scaled_by_frequency = true;
  CHECK(refusal(shape, {}) == "accepted");
  shape.mla = MlaShape{.kv_lora_rank = 8, .qk_nope_head_dim = 6, .qk_rope_head_dim = 4, .v_head_dim = 6};
  CHECK_THAT(refusal(shape, {}), ContainsSubstring("MLA already"));
}

}  // namespace
}  // namespace attnlab::test
