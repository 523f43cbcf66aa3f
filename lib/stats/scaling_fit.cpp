#include "stats/scaling_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "core/errors.h"
#include "core/random.h"
#include "stats/bootstrap.h"
#include "stats/minimise.h"

namespace attnlab {
namespace {

struct Form {
  bool of_compute = false, size = false, tokens = false, floor = false;
  int exponents() const { return (size ? 1 : 0) + (tokens ? 1 : 0); }
};

Form form_of(std::span<const ScalingPoint> points) {
  std::set<double> sizes, tokens;
  std::set<std::pair<double, double>> places;
  for (const auto& point : points) {
    sizes.insert(point.size);
    tokens.insert(point.tokens);
    places.insert({point.size, point.tokens});
  }
  Form form{.size = sizes.size() > 1, .tokens = tokens.size() > 1, .floor = places.size() > 2};
  // Two terms and a floor have five numbers, and places on one line tell them not apart.
  const bool grid = places.size() > std::max(sizes.size(), tokens.size());
  if (form.size && form.tokens && (!grid || places.size() < 5))
    form = {.of_compute = true, .size = true, .floor = form.floor};
  return form;
}

using Columns = std::array<double, 3>;  // of E, A, B; those that the form lacks are 0

// Units of the geometric means keep the columns near 1.
struct Units {
  double size = 1, tokens = 1;
};

Units units_of(std::span<const ScalingPoint> points) {
  Units sum{0, 0};
  for (const auto& point : points) {
    sum.size += std::log(point.size);
    sum.tokens += std::log(point.tokens);
  }
  const auto n = static_cast<double>(points.size());
  return {std::exp(sum.size / n), std::exp(sum.tokens / n)};
}

// Solves the normal equations of the chosen columns; false where they are singular.
bool solve(const std::array<Columns, 3>& square, const Columns& right, unsigned chosen, Columns& out) {
  std::array<Columns, 3> a = square;
  Columns b = right;
  out = {};
  for (size_t i = 0; i < 3; ++i) {
    if (!(chosen >> i & 1)) continue;
    if (!(a[i][i] > 1e-14 * square[i][i])) return false;
    for (size_t r = 0; r < 3; ++r) {
      if (r == i || !(chosen >> r & 1)) continue;
      const double factor = a[r][i] / a[i][i];
      for (size_t c = 0; c < 3; ++c) a[r][c] -= factor * a[i][c];
      b[r] -= factor * b[i];
    }
  }
  for (size_t i = 0; i < 3; ++i)
    if (chosen >> i & 1) out[i] = b[i] / a[i][i];
  return true;
}

class Law {
 public:
  Law(std::span<const ScalingPoint> points, size_t arms)
      : points_(points), form_(form_of(points)), units_(units_of(points)), arms_(arms) {}

  const Form& form() const { return form_; }
  size_t dimensions() const { return static_cast<size_t>(form_.exponents()) + arms_ - 1; }

  // Sum of squared relative residuals at the best E, A, B >= 0 for exponents and multipliers (in logarithms).
  double squares(const std::vector<double>& place) const {
    Columns ignored;
    return best(place, ignored);
  }

  ScalingFit fit_at(const std::vector<double>& place) const {
    Columns scales;
    const double sum = best(place, scales);
    ScalingFit fit{.floor = scales[0], .of_compute = form_.of_compute, .multiplier = {}};
    size_t next = 0;
    if (form_.size) {
      fit.size_exponent = std::exp(place[next++]);
      const double unit = form_.of_compute ? units_.size * units_.tokens : units_.size;
      fit.size_scale = scales[1] * std::pow(unit, fit.size_exponent);
    }
    if (form_.tokens) {
      fit.token_exponent = std::exp(place[next++]);
      fit.token_scale = scales[2] * std::pow(units_.tokens, fit.token_exponent);
    }
    fit.multiplier.push_back(1);
    for (size_t arm = 1; arm < arms_; ++arm) fit.multiplier.push_back(std::exp(place[next++]));
    fit.residual = std::sqrt(sum / static_cast<double>(points_.size()));
    return fit;
  }

 private:
  Columns columns(const ScalingPoint& point, const std::vector<double>& place) const {
    Columns x{form_.floor ? 1.0 : 0.0, 0, 0};
    const auto exponents = static_cast<size_t>(form_.exponents());
    const double log_k = point.arm == 0 ? 0 : place[exponents + point.arm - 1];
    const double size = std::log(point.size / units_.size), tokens = std::log(point.tokens / units_.tokens);
    if (form_.of_compute) {
      x[1] = std::exp(-std::exp(place[0]) * (log_k + size + tokens));
    } else {
      size_t next = 0;
      if (form_.size) x[1] = std::exp(-std::exp(place[next++]) * (log_k / 2 + size));
      if (form_.tokens) x[2] = std::exp(-std::exp(place[next++]) * (log_k / 2 + tokens));
    }
    return x;
  }

  double best(const std::vector<double>& place, Columns& scales) const {
    std::array<Columns, 3> square{};
    Columns right{};
    for (const auto& point : points_) {
      const Columns x = columns(point, place);
      for (size_t i = 0; i < 3; ++i) {
        for (size_t j = 0; j < 3; ++j) square[i][j] += x[i] * x[j] / (point.loss * point.loss);
        right[i] += x[i] / point.loss;
      }
    }
    double least = std::numeric_limits<double>::infinity();
    for (unsigned chosen = 1; chosen < 8; ++chosen) {
      Columns candidate;
      if (!solve(square, right, chosen, candidate)) continue;
      if (std::any_of(candidate.begin(), candidate.end(), [](double x) { return x < 0; })) continue;
      double sum = static_cast<double>(points_.size());
      for (size_t i = 0; i < 3; ++i) sum -= candidate[i] * right[i];
      if (sum >= least) continue;
      least = sum;
      scales = candidate;
    }
    // Exponents beyond any that were ever seen, and multipliers of a million, are not looked for.
    double outside = 0;
    for (size_t i = 0; i < place.size(); ++i) {
      const bool exponent = i < static_cast<size_t>(form_.exponents());
      const double low = exponent ? std::log(0.01) : -14, high = exponent ? std::log(3.0) : 14;
      outside += std::max({0.0, low - place[i], place[i] - high});
    }
    return std::max(0.0, least) + outside;
  }

  std::span<const ScalingPoint> points_;
  Form form_;
  Units units_;
  size_t arms_;
};

bool can_be_fitted(std::span<const ScalingPoint> points, size_t arms) {
  std::set<size_t> seen;
  std::set<std::pair<double, double>> places;
  for (const auto& point : points) {
    ATTNLAB_CHECK(point.size > 0 && point.tokens > 0 && point.loss > 0 && point.arm < arms);
    seen.insert(point.arm);
    places.insert({point.size, point.tokens});
  }
  return arms > 0 && seen.size() == arms && places.size() > 1;
}

std::vector<double> logs_of(const ScalingFit& fit, const Form& form) {
  std::vector<double> place;
  if (form.size) place.push_back(std::log(fit.size_exponent));
  if (form.tokens) place.push_back(std::log(fit.token_exponent));
  for (size_t arm = 1; arm < fit.multiplier.size(); ++arm) place.push_back(std::log(fit.multiplier[arm]));
  return place;
}

using Place = std::pair<double, double>;  // size, tokens

// Each place's seeds drawn anew, with all arms that have them.
std::vector<ScalingPoint> resampled(std::span<const ScalingPoint> points, Random& random) {
  std::map<Place, std::map<int64_t, std::vector<ScalingPoint>>> by_place;
  for (const auto& point : points) by_place[{point.size, point.tokens}][point.seed].push_back(point);
  std::vector<ScalingPoint> drawn;
  for (const auto& [place, by_seed] : by_place)
    for (size_t i = 0; i < by_seed.size(); ++i) {
      const auto chosen = random.between(0, std::ssize(by_seed) - 1);
      const auto& runs = std::next(by_seed.begin(), chosen)->second;
      drawn.insert(drawn.end(), runs.begin(), runs.end());
    }
  return drawn;
}

double next_of(const std::set<double>& values) {
  const double last = *values.rbegin();
  return values.size() < 2 ? last : last * last / *std::next(values.rbegin());
}

// Of an arm less the base, at the largest place: mean over seeds.
double measured_gap(std::span<const ScalingPoint> points, size_t arm) {
  Place largest{};
  for (const auto& point : points)
    if (point.size * point.tokens > largest.first * largest.second) largest = {point.size, point.tokens};
  std::array<std::vector<double>, 2> losses;
  for (const auto& point : points)
    if (Place{point.size, point.tokens} == largest && (point.arm == arm || point.arm == 0))
      losses[point.arm == arm ? 0 : 1].push_back(point.loss);
  return mean_and_error(losses[0]).mean - mean_and_error(losses[1]).mean;
}

Interval percentiles(std::vector<double> values, double value, int64_t n) {
  std::sort(values.begin(), values.end());
  return {.value = value,
          .low = quantile_of_sorted(values, 0.025),
          .high = quantile_of_sorted(values, 0.975),
          .n = n};
}

}  // namespace

double ScalingFit::loss(size_t arm, double size, double tokens) const {
  const double k = multiplier[arm];
  if (of_compute) return floor + size_scale * std::pow(k * size * tokens, -size_exponent);
  double value = floor;
  if (size_exponent > 0) value += size_scale * std::pow(std::sqrt(k) * size, -size_exponent);
  if (token_exponent > 0) value += token_scale * std::pow(std::sqrt(k) * tokens, -token_exponent);
  return value;
}

std::optional<ScalingFit> fit_scaling(std::span<const ScalingPoint> points, size_t arms) {
  if (!can_be_fitted(points, arms)) return std::nullopt;
  const Law law(points, arms);
  const auto squares = [&](const std::vector<double>& place) { return law.squares(place); };
  Minimum best{.at = {}, .value = std::numeric_limits<double>::infinity()};
  for (const double first : {0.1, 0.3, 0.8})
    for (const double second : {0.1, 0.3, 0.8}) {
      std::vector<double> start(law.dimensions(), 0);
      start[0] = std::log(first);
      if (law.form().exponents() > 1) start[1] = std::log(second);
      if (law.form().exponents() == 1 && second != 0.1) continue;
      Minimum found = minimise(squares, std::move(start), 0.3);
      found = minimise(squares, std::move(found.at), 0.05);  // a simplex may have collapsed
      if (found.value < best.value) best = std::move(found);
    }
  return law.fit_at(best.at);
}

std::optional<ScalingForecast> forecast_scaling(std::span<const ScalingPoint> points, size_t arms,
                                                int64_t resamples, uint64_t seed) {
  const auto fit = fit_scaling(points, arms);
  if (!fit) return std::nullopt;
  ScalingForecast forecast{.fit = *fit, .multiplier = {}, .flips = {}};
  std::set<double> sizes, tokens;
  for (const auto& point : points) {
    sizes.insert(point.size);
    tokens.insert(point.tokens);
  }
  forecast.next_size = next_of(sizes);
  forecast.next_tokens = next_of(tokens);
  std::vector<double> gaps;
  for (size_t arm = 0; arm < arms; ++arm) gaps.push_back(measured_gap(points, arm));
  std::vector<std::vector<double>> multipliers(arms);
  forecast.flips.assign(arms, 0);
  Random random(seed, hash_name("scaling bootstrap"));
  for (int64_t i = 0; i < resamples; ++i) {
    const std::vector<ScalingPoint> drawn = resampled(points, random);
    const Law law(drawn, arms);
    const auto squares = [&](const std::vector<double>& place) { return law.squares(place); };
    const ScalingFit again = law.fit_at(minimise(squares, logs_of(*fit, law.form()), 0.1, 1e-8, 1500).at);
    const double base = again.loss(0, forecast.next_size, forecast.next_tokens);
    for (size_t arm = 0; arm < arms; ++arm) {
      multipliers[arm].push_back(again.multiplier[arm]);
      const double gap = again.loss(arm, forecast.next_size, forecast.next_tokens) - base;
      forecast.flips[arm] += (gap > 0) != (gaps[arm] > 0) ? 1 / static_cast<double>(resamples) : 0;
    }
  }
  forecast.flips[0] = 0;
  for (size_t arm = 0; arm < arms; ++arm)
    forecast.multiplier.push_back(
        percentiles(multipliers[arm], fit->multiplier[arm], static_cast<int64_t>(points.size())));
  return forecast;
}

}  // namespace attnlab
