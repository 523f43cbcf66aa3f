// The orthogonal decomposition of TransMLA v1: per KV head, a thin SVD of what GQA computes for its query
// heads.
#pragma once

#include <Eigen/Core>

#include "attention/mla_orthogonal.h"

namespace attnlab {

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
