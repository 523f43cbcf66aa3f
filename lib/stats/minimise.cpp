#include "stats/minimise.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

// start + factor (end - start)
std::vector<double> between(const std::vector<double>& start, const std::vector<double>& end, double factor) {
  std::vector<double> place(start.size());
  for (size_t i = 0; i < start.size(); ++i) place[i] = start[i] + factor * (end[i] - start[i]);
  return place;
}

struct Simplex {
  const std::function<double(const std::vector<double>&)>& function;
  std::vector<Minimum> corners;  // ascending by value
  int evaluations = 0;

  Minimum at(std::vector<double> place) {
    ++evaluations;
    const double value = function(place);
    return {.at = std::move(place), .value = value};
  }
  void sort() {
    std::sort(corners.begin(), corners.end(),
              [](const Minimum& a, const Minimum& b) { return a.value < b.value; });
  }
  // Of all corners but the worst.
  std::vector<double> centre() const {
    std::vector<double> sum(corners[0].at.size());
    for (size_t c = 0; c + 1 < corners.size(); ++c)
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += corners[c].at[i];
    for (double& x : sum) x /= static_cast<double>(corners.size() - 1);
    return sum;
  }
  void shrink() {
    for (size_t c = 1; c < corners.size(); ++c) corners[c] = at(between(corners[0].at, corners[c].at, 0.5));
  }
  void step() {
    const std::vector<double> middle = centre();
    Minimum& worst = corners.back();
    Minimum reflected = at(between(middle, worst.at, -1));
    if (reflected.value < corners[0].value) {
      Minimum expanded = at(between(middle, worst.at, -2));
      worst = expanded.value < reflected.value ? std::move(expanded) : std::move(reflected);
    } else if (reflected.value < corners[corners.size() - 2].value) {
      worst = std::move(reflected);
    } else {
      const bool outside = reflected.value < worst.value;
      Minimum contracted = at(between(middle, outside ? reflected.at : worst.at, 0.5));
      if (contracted.value < std::min(reflected.value, worst.value))
        worst = std::move(contracted);
      else
        shrink();
    }
    sort();
  }
};

}  // namespace

Minimum minimise(const std::function<double(const std::vector<double>&)>& function, std::vector<double> start,
                 double step, double tolerance, int most) {
  ATTNLAB_CHECK(!start.empty() && step > 0);
  Simplex simplex{.function = function, .corners = {}};
  simplex.corners.push_back(simplex.at(start));
  for (double& x : start) {
    x += step;
    simplex.corners.push_back(simplex.at(start));
    x -= step;
  }
  simplex.sort();
  const auto spread = [&] { return simplex.corners.back().value - simplex.corners.front().value; };
  while (simplex.evaluations < most && spread() > tolerance * (std::abs(simplex.corners[0].value) + 1e-12))
    simplex.step();
  return simplex.corners[0];
}

}  // namespace attnlab
