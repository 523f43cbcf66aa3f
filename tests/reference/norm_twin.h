// The residual sum and its RMS norm in plain loops and double precision, forward and gradients.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace attnlab::reference {

struct NormTwin {
  int64_t rows = 0, width = 0;
  std::vector<double> stream, normed, inverse_root;
  std::vector<double> dstream, dweight;  // dstream: of the whole loss, through both outputs
};

// stream = x + added and normed = stream / √(mean(stream²) + eps) · weight, row by row, and the gradients of
// Σ upstream_stream · stream + upstream_normed · normed.
inline NormTwin norm_of_sum(const std::vector<double>& x, const std::vector<double>& added,
                            const std::vector<double>& weight, double eps,
                            const std::vector<double>& upstream_stream,
                            const std::vector<double>& upstream_normed) {
  const size_t n = weight.size(), rows = x.size() / n;
  NormTwin out{.rows = static_cast<int64_t>(rows),
               .width = static_cast<int64_t>(n),
               .stream = x,
               .normed = x,
               .inverse_root = {},
               .dstream = upstream_stream,
               .dweight = std::vector<double>(n, 0.0)};
  for (size_t row = 0; row < rows; ++row) {
    double squares = 0, along = 0;
    for (size_t i = row * n; i < (row + 1) * n; ++i) {
      if (!added.empty()) out.stream[i] += added[i];
      squares += out.stream[i] * out.stream[i];
      along += upstream_normed[i] * weight[i % n] * out.stream[i];
    }
    const double root = std::sqrt(squares / static_cast<double>(n) + eps);
    out.inverse_root.push_back(1 / root);
    for (size_t i = row * n; i < (row + 1) * n; ++i) {
      out.normed[i] = out.stream[i] / root * weight[i % n];
      out.dweight[i % n] += upstream_normed[i] * out.stream[i] / root;
      // d normed_j / d stream_i = weight_j (δ_ij / root - stream_i stream_j / (n root³))
      out.dstream[i] += upstream_normed[i] * weight[i % n] / root -
                        out.stream[i] * along / (static_cast<double>(n) * root * root * root);
    }
  }
  return out;
}

}  // namespace attnlab::reference
