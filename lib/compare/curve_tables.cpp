#include "compare/curve_tables.h"

// Where curves are looked at, and the tables of what they are there.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compare/grid.h"

namespace attnlab {
namespace {

constexpr size_t kTablePlaces = 10;

struct Range {
  double low = INFINITY, high = -INFINITY;
  double last_start = -INFINITY, first_end = INFINITY;  // of the arms that start last and end first
};

Range range_of(const std::vector<const ArmCurves*>& arms) {
  Range range;
  for (const ArmCurves* arm : arms) {
    range.low = std::min(range.low, arm->first);
    range.high = std::max(range.high, arm->last);
    range.last_start = std::max(range.last_start, arm->first);
    range.first_end = std::min(range.first_end, arm->last);
  }
  // Seeds and arms that start or end a little apart (their examples have other lengths) share their first and
  // their last place.
  const double little = 0.02 * (range.high - range.low);
  if (range.last_start - range.low < little) range.low = range.last_start;
  if (range.high - range.first_end < little) range.high = range.first_end;
  return range;
}

// The points' own places, if there are at most `most`; else nothing.
std::set<double> own_places(const std::vector<const ArmCurves*>& arms, size_t most) {
  std::set<double> places;
  for (const ArmCurves* arm : arms)
    for (const auto& [seed, series] : arm->by_seed) {
      if (series.x.size() > most) return {};
      places.insert(series.x.begin(), series.x.end());
      if (places.size() > most) return {};
    }
  return places;
}

std::vector<double> equal_distances(double low, double high, size_t count) {
  std::vector<double> places;
  for (size_t i = 0; i < count; ++i)
    places.push_back(
        i + 1 == count ? high : low + (high - low) * static_cast<double>(i) / static_cast<double>(count - 1));
  return places;
}

// Steps, tokens and FLOPs are whole; a place between two of them would only look odd.
double rounded(const CurveComparison& comparison, const Range& range, double x) {
  if (comparison.axis == Axis::seconds || range.high - range.low < kTablePlaces) return x;
  return std::clamp(std::round(x), range.low, range.high);
}

std::string number(const CurveComparison& comparison, double value, bool sign) {
  return sign ? fmt::format("{:+.{}f}", value, comparison.metric.digits)
              : fmt::format("{:.{}f}", value, comparison.metric.digits);
}

// "1.2345 ±0.0012", "*" behind it where the interval leaves out 0, and "(2)" if so many seeds of more are
// there.
std::string cell(const CurveComparison& comparison, const Interval& interval, size_t seeds, bool difference) {
  if (std::isnan(interval.value)) return "-";
  std::string text = number(comparison, interval.value, difference);
  if (interval.has_ends()) text += " ±" + number(comparison, interval.half_width(), false);
  if (difference && (interval.low > 0 || interval.high < 0)) text += "*";
  if (interval.n < static_cast<int64_t>(seeds)) text += fmt::format(" ({})", interval.n);
  return text;
}

std::string title(const ArmCurves& arm) { return fmt::format("{}, n={}", arm.arm, arm.by_seed.size()); }

Grid value_grid(const CurveComparison& comparison, const std::vector<const ArmCurves*>& arms,
                const std::vector<double>& places) {
  Grid grid{.titles = {axis_title(comparison.axis)}};
  for (const ArmCurves* arm : arms) grid.titles.push_back(title(*arm));
  for (const double x : places) {
    Line& line = grid.lines.emplace_back();
    line.cells.push_back(axis_text(comparison.axis, x));
    for (const ArmCurves* arm : arms)
      line.cells.push_back(cell(comparison, mean_at(*arm, x), arm->by_seed.size(), false));
  }
  return grid;
}

size_t common_seeds(const ArmCurves& a, const ArmCurves& b) {
  size_t count = 0;
  for (const auto& [seed, series] : a.by_seed) count += b.by_seed.count(seed);
  return count;
}

Grid difference_grid(const CurveComparison& comparison, const std::vector<const ArmCurves*>& arms,
                     const ArmCurves& baseline, const std::vector<double>& places) {
  Grid grid{.titles = {"minus " + baseline.arm}};
  for (const ArmCurves* arm : arms)
    if (arm != &baseline)
      grid.titles.push_back(fmt::format("{}, n={}", arm->arm, common_seeds(*arm, baseline)));
  for (const double x : places) {
    Line& line = grid.lines.emplace_back();
    line.cells.push_back(axis_text(comparison.axis, x));
    for (const ArmCurves* arm : arms)
      if (arm != &baseline)
        line.cells.push_back(
            cell(comparison, difference_at(*arm, baseline, x), common_seeds(*arm, baseline), true));
  }
  return grid;
}

}  // namespace

std::vector<double> table_places(const CurveComparison& comparison, const std::string& point) {
  const auto arms = comparison.at_point(point);
  const std::set<double> own = own_places(arms, kTablePlaces);
  if (!own.empty()) return {own.begin(), own.end()};
  const Range range = range_of(arms);
  if (!(range.low < range.high)) return {range.high};
  std::set<double> places;
  for (const double x : equal_distances(range.low, range.high, kTablePlaces))
    places.insert(rounded(comparison, range, x));
  // Where the first arm ends is the last place at which all compare.
  const double near = (range.high - range.low) / 200;
  const bool there = std::any_of(places.begin(), places.end(),
                                 [&](double x) { return x <= range.first_end && range.first_end - x < near; });
  if (!there && range.first_end > range.low) places.insert(range.first_end);
  return {places.begin(), places.end()};
}

std::vector<double> drawing_places(const CurveComparison& comparison, const std::string& point, size_t most) {
  const auto arms = comparison.at_point(point);
  const std::set<double> own = own_places(arms, most);
  if (!own.empty()) return {own.begin(), own.end()};
  double low = INFINITY, high = -INFINITY;
  for (const ArmCurves* arm : arms)
    for (const auto& [seed, series] : arm->by_seed) {
      low = std::min(low, series.x.front());
      high = std::max(high, series.x.back());
    }
  return equal_distances(low, high, most);
}

std::string format_curves(const CurveComparison& comparison, const std::string& point, TableStyle style) {
  const auto render = style == TableStyle::text ? as_text : as_markdown;
  const auto arms = comparison.at_point(point);
  const std::vector<double> places = table_places(comparison, point);
  std::string text = render(value_grid(comparison, arms, places));
  const auto baseline = std::find_if(arms.begin(), arms.end(),
                                     [&](const ArmCurves* arm) { return arm->arm == comparison.baseline; });
  if (baseline == arms.end() || arms.size() < 2) return text;
  text += "\n";
  return text + render(difference_grid(comparison, arms, **baseline, places));
}

}  // namespace attnlab
