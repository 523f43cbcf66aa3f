// Causal attention of grouped heads in plain loops and double precision, forward and gradients.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace attnlab::reference {

struct CausalShape {
  size_t B, N, G, T, H;
};

struct CausalTwin {
  std::vector<double> out, dq, dk, dv;  // [B, N, T, H], and [B, G, T, H]
  double most_looks = 0;                // the greatest sum of shares that one key gets from a head's queries
};

// out_i = Σ_{j ≤ i} p_ij v_j, p_i = softmax(scale q_i·k_j), and the gradients of Σ dout · out: with dp_ij =
// dout_i·v_j, ds_ij = p_ij (dp_ij - Σ_j p_ij dp_ij).
inline CausalTwin causal_attention(const CausalShape& shape, double scale, const std::vector<double>& q,
                                   const std::vector<double>& k, const std::vector<double>& v,
                                   const std::vector<double>& dout) {
  const auto [B, N, G, T, H] = shape;
  CausalTwin twin{.out = std::vector<double>(q.size()),
                  .dq = std::vector<double>(q.size()),
                  .dk = std::vector<double>(k.size()),
                  .dv = std::vector<double>(v.size())};
  for (size_t bn = 0; bn < B * N; ++bn) {
    const size_t bg = bn / N * G + bn % N / (N / G);
    std::vector<double> looks(T);
    for (size_t i = 0; i < T; ++i) {
      const size_t qi = (bn * T + i) * H;
      const auto product = [&](const std::vector<double>& a, const std::vector<double>& b, size_t j) {
        double sum = 0;
        for (size_t h = 0; h < H; ++h) sum += a[qi + h] * b[(bg * T + j) * H + h];
        return sum;
      };
      std::vector<double> p(i + 1), dp(i + 1);
      double sum = 0, along = 0;
      for (size_t j = 0; j <= i; ++j) sum += p[j] = std::exp(scale * product(q, k, j));
      for (size_t j = 0; j <= i; ++j) {
        p[j] /= sum;
        dp[j] = product(dout, v, j);
        along += p[j] * dp[j];
        twin.most_looks = std::fmax(twin.most_looks, looks[j] += p[j]);
      }
      for (size_t j = 0; j <= i; ++j)
        for (size_t h = 0; h < H; ++h) {
          const size_t kj = (bg * T + j) * H + h;
          const double ds = scale * p[j] * (dp[j] - along);
          twin.out[qi + h] += p[j] * v[kj];
          twin.dv[kj] += p[j] * dout[qi + h];
          twin.dq[qi + h] += ds * k[kj];
          twin.dk[kj] += ds * q[qi + h];
        }
    }
  }
  return twin;
}

}  // namespace attnlab::reference
