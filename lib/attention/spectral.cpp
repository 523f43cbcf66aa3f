#include "attention/spectral.h"

#include <Eigen/Eigenvalues>

#include "core/errors.h"

namespace attnlab {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Above this, LAPACK's divide and conquer on all cores is faster than Eigen's QR on one.
constexpr int64_t kSmall = 256;

Spectrum ascending_by_eigen(const torch::Tensor& moment) {
  const int64_t n = moment.size(0);
  const auto dense = moment.cpu().contiguous();
  const Eigen::Map<const RowMajor> mapped(dense.const_data_ptr<double>(), n, n);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(mapped);
  Spectrum found{.values = torch::empty({n}, torch::kFloat64),
                 .vectors = torch::empty({n, n}, torch::kFloat64)};
  Eigen::Map<Eigen::VectorXd>(found.values.data_ptr<double>(), n) = solver.eigenvalues();
  Eigen::Map<RowMajor>(found.vectors.data_ptr<double>(), n, n) = solver.eigenvectors();
  return {found.values.to(moment.device()), found.vectors.to(moment.device())};
}

}  // namespace

Spectrum spectrum_of(const torch::Tensor& moment) {
  ATTNLAB_CHECK(moment.dim() == 2 && moment.size(0) == moment.size(1) &&
                moment.scalar_type() == torch::kFloat64);
  Spectrum found;
  if (moment.size(0) <= kSmall)
    found = ascending_by_eigen(moment);
  else
    std::tie(found.values, found.vectors) = torch::linalg_eigh(moment, "L");
  const auto vectors = found.vectors.flip(1);
  const auto largest = vectors.gather(0, vectors.abs().argmax(0, /*keepdim=*/true));
  return {.values = found.values.flip(0), .vectors = vectors * torch::where(largest < 0, -1.0, 1.0)};
}

torch::Tensor damped(const torch::Tensor& moment, double fraction) {
  const auto added = fraction * moment.diagonal().mean();
  return moment + added * torch::eye(moment.size(0), moment.options());
}

torch::Tensor white_moment(const torch::Tensor& weight, const torch::Tensor& bias) {
  const auto rows = weight.to(torch::kFloat64);
  const auto moment = torch::matmul(rows, rows.t());
  if (!bias.defined()) return moment;
  const auto b = bias.to(torch::kFloat64);
  return moment + torch::outer(b, b);
}

}  // namespace attnlab
