// A mixture's experts and the gradients of Σ upstream · y, in plain loops and double precision.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace attnlab::reference {

using Numbers = std::vector<double>;

// M tokens of D numbers, E experts of width F, k of them per token. Matrices of all experts follow each other:
// gate and up [E, F, D], down [E, D, F].
struct ExpertsTwin {
  int64_t M = 0, D = 0, F = 0, E = 0, k = 0;
  bool gelu = false;  // by tanh; else SiLU
  Numbers x_MD, weight_Mk, gate, up, down;
  std::vector<int64_t> expert_Mk;
};

struct ExpertsResult {
  Numbers y_MD, dx_MD, dweight_Mk, dgate, dup, ddown;
};

// Value and derivative.
inline std::pair<double, double> activation(double z, bool gelu) {
  if (!gelu) {
    const double s = 1 / (1 + std::exp(-z));
    return {z * s, s * (1 + z * (1 - s))};
  }
  const double a = std::sqrt(2 / M_PI), b = 0.044715, t = std::tanh(a * (z + b * z * z * z));
  return {0.5 * z * (1 + t), 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * a * (1 + 3 * b * z * z)};
}

class ExpertsRun {
 public:
  ExpertsRun(const ExpertsTwin& twin, const Numbers& upstream_MD) : in_(twin), upstream_MD_(upstream_MD) {
    out_.y_MD.resize(in_.x_MD.size());
    out_.dx_MD.resize(in_.x_MD.size());
    out_.dweight_Mk.resize(in_.weight_Mk.size());
    out_.dgate.resize(in_.gate.size());
    out_.dup.resize(in_.up.size());
    out_.ddown.resize(in_.down.size());
    for (int64_t m = 0; m < in_.M; ++m)
      for (int64_t j = 0; j < in_.k; ++j) add(m, m * in_.k + j);
  }
  const ExpertsResult& result() const { return out_; }

 private:
  static double at(const Numbers& values, int64_t place) { return values.at(static_cast<size_t>(place)); }
  static double& at(Numbers& values, int64_t place) { return values.at(static_cast<size_t>(place)); }

  // Token m through the expert of its choice `c`.
  void add(int64_t m, int64_t c) {
    const int64_t D = in_.D, F = in_.F, x = m * D;
    const int64_t e = in_.expert_Mk.at(static_cast<size_t>(c));
    const double weight = at(in_.weight_Mk, c);
    for (int64_t f = 0; f < F; ++f) {
      const int64_t row = (e * F + f) * D;
      double g = 0, u = 0, dbetween = 0;
      for (int64_t d = 0; d < D; ++d) {
        g += at(in_.gate, row + d) * at(in_.x_MD, x + d);
        u += at(in_.up, row + d) * at(in_.x_MD, x + d);
      }
      const auto [value, slope] = activation(g, in_.gelu);
      for (int64_t d = 0; d < D; ++d) {
        const int64_t place = (e * D + d) * F + f;
        const double w = at(in_.down, place), up = at(upstream_MD_, x + d);
        at(out_.y_MD, x + d) += weight * w * value * u;
        at(out_.dweight_Mk, c) += up * w * value * u;
        at(out_.ddown, place) += up * weight * value * u;
        dbetween += up * weight * w;
      }
      const double dg = dbetween * slope * u, du = dbetween * value;
      for (int64_t d = 0; d < D; ++d) {
        at(out_.dgate, row + d) += dg * at(in_.x_MD, x + d);
        at(out_.dup, row + d) += du * at(in_.x_MD, x + d);
        at(out_.dx_MD, x + d) += dg * at(in_.gate, row + d) + du * at(in_.up, row + d);
      }
    }
  }

  const ExpertsTwin& in_;
  const Numbers& upstream_MD_;
  ExpertsResult out_;
};

}  // namespace attnlab::reference
