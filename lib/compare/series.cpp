#include "compare/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/progress.h"

namespace attnlab {

std::string axis_title(Axis axis) {
  switch (axis) {
    case Axis::tokens:
      return "trained tokens";
    case Axis::seconds:
      return "training time (s)";
    case Axis::flops:
      return "training FLOPs";
    case Axis::steps:
      break;
  }
  return "step";
}

std::string axis_text(Axis axis, double x) {
  if (axis == Axis::steps) return fmt::format("{:.0f}", x);
  if (axis == Axis::seconds) return fmt::format("{:.{}f}", x, x < 100 ? 2 : 0);
  return x < 1e15 ? format_count(x) : fmt::format("{:.2e}", x);
}

std::optional<double> value_at(const Series& series, double x) {
  const auto right = std::lower_bound(series.x.begin(), series.x.end(), x);
  if (right == series.x.end()) return std::nullopt;
  const auto place = static_cast<size_t>(right - series.x.begin());
  if (*right == x) return series.y[place];
  if (place == 0) return std::nullopt;
  const double share = (x - series.x[place - 1]) / (series.x[place] - series.x[place - 1]);
  return series.y[place - 1] + share * (series.y[place] - series.y[place - 1]);
}

double axis_value(const RunRecord& run, const TrainRow& row, Axis axis) {
  switch (axis) {
    case Axis::tokens:
      return static_cast<double>(row.tokens);
    case Axis::seconds:
      return row.seconds;
    case Axis::flops:
      return 3 * run.header.flops_per_token * static_cast<double>(row.tokens);
    case Axis::steps:
      break;
  }
  return static_cast<double>(row.step);
}

std::optional<double> axis_value(const RunRecord& run, int64_t step, Axis axis) {
  Series places;
  if (run.train.empty() || run.train.front().step > 0) places.add(0, 0);
  for (const auto& row : run.train) places.add(static_cast<double>(row.step), axis_value(run, row, axis));
  return value_at(places, static_cast<double>(step));
}

Series moving_mean(const Series& series, size_t rows) {
  if (rows <= 1) return series;
  const auto mean = [rows](const std::vector<double>& values, size_t first) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
    return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(rows), 0.0) / static_cast<double>(rows);
  };
  Series out;
  for (size_t first = 0; first + rows <= series.x.size(); ++first)
    out.add(mean(series.x, first), mean(series.y, first));
  return out;
}

}  // namespace attnlab
