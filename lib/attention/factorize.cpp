#include "attention/factorize.h"

#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

using Matrix = Eigen::MatrixXd;

// M = Q R of a tall matrix, Q with orthonormal columns.
struct Qr {
  Matrix Q, R;
};

Qr thin_qr(const Matrix& tall) {
  const Eigen::Index columns = tall.cols();
  const Eigen::HouseholderQR<Matrix> qr(tall);
  return {.Q = qr.householderQ() * Matrix::Identity(tall.rows(), columns),
          .R = qr.matrixQR().topRows(columns).triangularView<Eigen::Upper>()};
}

// What each factor gets of the singular values: {up, down}.
std::pair<Eigen::VectorXd, Eigen::VectorXd> share(const Eigen::VectorXd& kept, SingularSplit split) {
  const Eigen::VectorXd one = Eigen::VectorXd::Ones(kept.size());
  switch (split) {
    case SingularSplit::left:
      return {one, kept};
    case SingularSplit::right:
      return {kept, one};
    case SingularSplit::balanced:
      break;
  }
  return {kept.cwiseSqrt(), kept.cwiseSqrt()};
}

}  // namespace

// M has rank ≤ H, so its SVD follows from that of the small core: E = Q R, Wᵀ = P L, M = Q (R Lᵀ) Pᵀ.
Factors factorize(const Matrix& expansion, const Matrix& weight, int64_t rank, SingularSplit split) {
  const Eigen::Index H = weight.rows(), columns = weight.cols();
  ATTNLAB_CHECK(expansion.cols() == H && expansion.rows() >= H && rank >= 1 && rank <= H);
  Matrix wide = Matrix::Zero(H, std::max(H, columns));  // zero columns where the model is narrower than a head
  wide.leftCols(columns) = weight;
  const Qr left = thin_qr(expansion), right = thin_qr(wide.transpose());
  const Eigen::JacobiSVD<Matrix> svd(left.R * right.R.transpose(), Eigen::ComputeFullU | Eigen::ComputeFullV);

  const auto [up_scale, down_scale] = share(svd.singularValues().head(rank), split);
  const Matrix down = down_scale.asDiagonal() * (right.Q * svd.matrixV().leftCols(rank)).transpose();
  return {.up = left.Q * svd.matrixU().leftCols(rank) * up_scale.asDiagonal(),
          .down = down.leftCols(columns),
          .singular_values = svd.singularValues()};
}

}  // namespace attnlab
