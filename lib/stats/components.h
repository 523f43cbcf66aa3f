// How much of the scatter of scores comes from where: variance components with intervals.
#pragma once

#include <span>

#include "stats/crossed.h"

namespace attnlab {

// Variances of y = μ + seed + problem + rest from one number a cell, by the analysis of variance: rest =
// MS_rest, seed = (MS_seed - MS_rest) / P, problem = (MS_problem - MS_rest) / S; no estimate below 0. The
// interval of the rest is that of χ²; those of the others Tukey's and Williams's (Williams 1962, Biometrika 49,
// 278-281), with ν the degrees of freedom of the component's mean square, ν' that of the rest, n cells a level:
//   ν (MS - F_q MS_rest) / (n χ²_q),  q = 1 - α/2 and α/2 of F(ν, ν') and of χ²(ν).
// They cover at least about as often as they say. Fewer than two seeds or problems: no ends, no values.
struct VarianceComponents {
  Interval seed, problem, rest;
};
VarianceComponents variance_components(const CrossedScores& scores, double confidence = 0.95);

// The variance of independent normal values with its χ² interval: (n - 1) s² / χ²_q. Fewer than two: no value.
// Equal values: 0 without ends.
Interval variance_interval(std::span<const double> values, double confidence = 0.95);

}  // namespace attnlab
