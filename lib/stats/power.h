// How large a difference between two arms n problems can show, before anything is run.
#pragma once

#include <cstdint>
#include <optional>

namespace attnlab {

// A comparison of two arms on the same n problems, each right or wrong, by a two-sided test.
struct PairedDesign {
  int64_t n = 0;               // problems, >= 1
  double discordant_rate = 0;  // ψ: share of problems on which the arms differ, 0 < ψ <= 1
  double alpha = 0.05;         // 0 < α < 1
};

// The smallest difference in accuracy δ that is found with probability `power`: it solves
//   n δ² = (z_{1-α/2} √ψ + z_power √(ψ - δ²))²
// (Connor 1987, Biometrics 43, 207-211). None where no δ <= ψ, the largest that there can be, does.
std::optional<double> minimum_detectable_difference(const PairedDesign& design, double power = 0.8);

// The same without the difference's own effect on its variance: (z_{1-α/2} + z_power) √(ψ / n). A little
// larger.
double simple_detectable_difference(const PairedDesign& design, double power = 0.8);

enum class McNemarForm { exact, mid_p };

// The probability that McNemar's test of this form rejects at α if the difference is δ, |δ| <= ψ: the sum over
// the number of discordant pairs m ~ Binomial(n, ψ) and their split b ~ Binomial(m, (ψ + δ) / 2ψ).
double mcnemar_power(const PairedDesign& design, double difference, McNemarForm form = McNemarForm::mid_p);

}  // namespace attnlab
