// Rank truncation: errors are those of the discarded singular values (Eckart-Young-Mirsky), neither more nor
// less.
#include <Eigen/SVD>
#include <cmath>
#include <limits>

#include "attention/factorize.h"
#include "attention/gqa.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using Matrix = Eigen::MatrixXd;
constexpr double kEps = std::numeric_limits<double>::epsilon();

Matrix random_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  torch::manual_seed(seed);
  const auto values = torch::randn({columns, rows}, torch::kFloat64);  // column-major
  return Eigen::Map<const Matrix>(values.data_ptr<double>(), rows, columns);
}

Eigen::VectorXd singular_values(const Matrix& matrix) {
  return Eigen::JacobiSVD<Matrix>(matrix).singularValues();
}

constexpr SingularSplit kSplits[] = {SingularSplit::balanced, SingularSplit::left, SingularSplit::right};

TEST_CASE("factors multiply back, and truncation errs by the discarded singular values exactly") {
  struct Dimensions {
    int64_t rows, H, columns;
  };
  for (const auto [rows, H, columns] : {Dimensions{18, 6, 31}, {10, 10, 37}, {14, 14, 5}, {21, 7, 7}}) {
    const Matrix E = random_matrix(rows, H, 1), W = random_matrix(H, columns, 2), M = E * W;
    const Eigen::VectorXd all = singular_values(M);
    // QR, SVD and products: each norm-wise stable with a constant of the order of its dimensions.
    const double bound = kEps * static_cast<double>(rows + H + columns) * all[0];
    for (const auto split : kSplits)
      for (int64_t rank = 1; rank <= H; ++rank) {
        CAPTURE(rows, H, columns, rank, name_of(split));
        const Factors factors = factorize(E, W, rank, split);
        REQUIRE(factors.up.cols() == rank);
        REQUIRE(factors.down.rows() == rank);
        const Matrix error = M - factors.up * factors.down;
        const int64_t known = std::min<int64_t>(all.size(), H);
        CHECK((factors.singular_values.head(known) - all.head(known)).cwiseAbs().maxCoeff() <= bound);
        const double first_discarded = rank < known ? all[rank] : 0;
        const double discarded = rank < known ? all.segment(rank, known - rank).norm() : 0;
        CHECK(std::abs(singular_values(error)[0] - first_discarded) <= bound);
        CHECK(std::abs(error.norm() - discarded) <= std::sqrt(static_cast<double>(H)) * bound);
      }
  }
}

TEST_CASE("splits share the singular values as their names say") {
  const Matrix E = random_matrix(18, 6, 1), W = random_matrix(6, 31, 2);
  const auto gram_up = [&](SingularSplit split) {
    const Matrix up = factorize(E, W, 4, split).up;
    return Matrix(up.transpose() * up);
  };
  const Eigen::VectorXd kept = singular_values(E * W).head(4);
  const double bound = kEps * 55 * kept[0] * kept[0];
  CHECK((gram_up(SingularSplit::balanced) - Matrix(kept.asDiagonal())).norm() <= bound);
  CHECK((gram_up(SingularSplit::left) - Matrix::Identity(4, 4)).norm() <= bound);
  CHECK((gram_up(SingularSplit::right) - Matrix(kept.cwiseAbs2().asDiagonal())).norm() <= bound);
}

// |Δ y| of a token is at most ‖W_O‖₂ · √N · max over its tokens of ‖ΔV‖, if only values are truncated; ‖ΔV‖ of
// a KV head's query heads together is at most the first discarded singular value times ‖[x, 1]‖.
TEST_CASE("the layer's error under truncation of values stays below the bound from the singular values") {
  for (const auto& size : odd_sizes()) {
    const auto& shape = size.shape;
    const auto gqa = random_attention(size, Gqa::Config{}, torch::kFloat64, 61);
    const auto input = random_input(size, torch::kFloat64, 62);
    const auto expected = gqa->forward(input);
    const auto weights = gqa_weights(*gqa);
    const auto x_1 = shape.qkv_bias
                         ? torch::cat({input.x_BTD, torch::ones({size.B, size.T, 1}, torch::kFloat64)}, 2)
                         : input.x_BTD;
    const double largest_x = x_1.norm(2, -1).max().item<double>();
    const double out_norm = at::linalg_matrix_norm(weights.o_weight, 2).item<double>();
    double previous = std::numeric_limits<double>::infinity();
    for (const int64_t rank : {1, 3, 5}) {
      INFO(size.name << ", rank " << rank);
      double discarded = 0;  // over KV heads, of [W | b] repeated N / G times: √(N / G) · σ
      for (int64_t g = 0; g < shape.n_kv_heads; ++g) {
        auto head = weights.v_weight.narrow(0, g * shape.head_dim, shape.head_dim);
        if (shape.qkv_bias)
          head =
              torch::cat({head, weights.v_bias.narrow(0, g * shape.head_dim, shape.head_dim).unsqueeze(1)}, 1);
        const auto sigma = at::linalg_svdvals(head);
        if (rank < sigma.size(0))
          discarded += std::pow(sigma[rank].item<double>(), 2) * static_cast<double>(shape.heads_per_kv());
      }
      // Keys exact (full rank), values truncated.
      auto exact = converted(*gqa, MlaOrthogonal::Config{});
      const auto truncated = convert_from_gqa(shape, MlaOrthogonal::Config{.rank = rank}, weights);
      const auto full = exact->named_parameters();
      const torch::NoGradGuard no_grad;
      // The truncated pair inside the full-rank layer: per KV head the first `rank` numbers, then zeros.
      full["v_proj.weight"].zero_();
      full["v_up_proj.weight"].zero_();
      if (shape.qkv_bias) full["v_proj.bias"].zero_();
      for (int64_t g = 0; g < shape.n_kv_heads; ++g) {
        const auto put = [&](const std::string& name, int64_t dim) {
          full[name]
              .narrow(dim, g * shape.head_dim, rank)
              .copy_(truncated.at(name).narrow(dim, g * rank, rank));
        };
        put("v_proj.weight", 0);
        put("v_up_proj.weight", 1);
        if (shape.qkv_bias) put("v_proj.bias", 0);
      }
      const double error = (exact->forward(input) - expected).norm(2, -1).max().item<double>();
      const double rounding = 2 * tolerance(size, torch::kFloat64, expected) * std::sqrt(double(shape.d_model));
      CHECK(error <= out_norm * std::sqrt(discarded) * largest_x + rounding);
      CHECK((error > 1e-3 || discarded == 0));  // or the bound would prove nothing
      CHECK(error <= previous);
      previous = error + rounding;
    }
  }
}

TEST_CASE("a rank outside 1 to head_dim is refused") {
  const AttentionShape shape = odd_sizes()[0].shape;
  CHECK_FALSE(variant_problem(shape, MlaOrthogonal::Config{.rank = shape.head_dim}));
  const auto too_large = variant_problem(shape, MlaOrthogonal::Config{.rank = shape.head_dim + 1});
  REQUIRE(too_large);
  CHECK(too_large->key == "rank");
  CHECK(too_large->found == "11");
  CHECK(too_large->expected == "1 to head_dim = 10");
  CHECK(variant_problem(shape, MlaOrthogonal::Config{.rank = 0}));
}

}  // namespace
}  // namespace attnlab::test
