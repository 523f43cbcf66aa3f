// The orthogonal decomposition of TransMLA v1: per KV head, a thin SVD of what GQA computes for its query
// heads.
#pragma once

#include <Eigen/Core>
#include <array>
#include <string_view>
#include <utility>

#include "core/names.h"

namespace attnlab {

// How the singular values are shared between the up- and the down-projection.
enum class SingularSplit {
  balanced,  // up = U √S,  down = √S Vᵀ (the paper's)
  left,      // up = U,     down = S Vᵀ (orthonormal up-projection)
  right,     // up = U S,   down = Vᵀ  (orthonormal down-projection)
};

template <>
struct EnumNames<SingularSplit> {
  static constexpr std::array<std::pair<std::string_view, SingularSplit>, 3> rows{
      {{"balanced", SingularSplit::balanced}, {"left", SingularSplit::left}, {"right", SingularSplit::right}}};
};

struct Factors {
  Eigen::MatrixXd up;               // [rows, rank]
  Eigen::MatrixXd down;             // [rank, columns]
  Eigen::VectorXd singular_values;  // all of them, descending
};

// M = E · W as up · down, where E [rows, H] is the expansion (one KV head's block of the up-projection) and
// W [H, columns] the KV head's weight with its bias as last column. By Eckart-Young, truncation to `rank`
// leaves a spectral error of exactly the first discarded singular value. Double precision.
Factors factorize(const Eigen::MatrixXd& expansion, const Eigen::MatrixXd& weight, int64_t rank,
                  SingularSplit split);

}  // namespace attnlab
